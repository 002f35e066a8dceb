"""What a database role must be allowed to do, as this release's statements have it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pulse_temporal.store.statements import statements

Right = Literal["DELETE", "INSERT", "SELECT", "UPDATE", "USAGE"]

RELATION = r'"(?:[^"]|"")+"\.(\w+)'
READ = re.compile(RELATION + r"\b(?!\()")
CALL = re.compile(RELATION + r"\(")
WRITES: tuple[tuple[Right, re.Pattern[str]], ...] = (
    ("DELETE", re.compile(r"\bDELETE\s+FROM\s+" + RELATION)),
    ("INSERT", re.compile(r"\bINSERT\s+INTO\s+" + RELATION)),
    ("UPDATE", re.compile(r"\bUPDATE\s+" + RELATION)),
)
SEQUENCE = re.compile(r"^CREATE SEQUENCE (?:IF NOT EXISTS )?(pulse_\w+)", re.MULTILINE)
NOT_FOR_WORK = ("migrations.", "invariants.")
"""Statements of the role that owns the tables, and of tests."""


def rights_in(text: str) -> Mapping[str, set[Right]]:
    """Return what a loaded statement does to each table that it names."""
    found: defaultdict[str, set[Right]] = defaultdict(set)
    for table in READ.findall(text):
        found[table].add("SELECT")
    for right, pattern in WRITES:
        for table in pattern.findall(text):
            found[table].add(right)
            if right == "INSERT" and "DO UPDATE" in text:
                found[table].add("UPDATE")
    return found


@cache
def needed_rights() -> Mapping[str, tuple[Right, ...]]:
    """Return what an engine does to each table and sequence, named as with the default prefix."""
    found: defaultdict[str, set[Right]] = defaultdict(set)
    found["pulse_migrations"].add("SELECT")
    for name, statement in statements(prefix="pulse_", schema="public").items():
        if not name.startswith(NOT_FOR_WORK):
            for table, rights in rights_in(statement.text).items():
                found[table] |= rights
    for file in files("pulse_temporal.store").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            for sequence in SEQUENCE.findall(file.read_text(encoding="utf-8")):
                found[sequence].add("USAGE")
    return {name: tuple(sorted(rights)) for name, rights in sorted(found.items())}


def told_rights(text: str, *, refusal: str) -> str:
    """Return what a statement needs of the tables that a refusal names, in any language."""
    needed = {table: " and ".join(sorted(rights)) for table, rights in rights_in(text).items()}
    needed |= dict.fromkeys(CALL.findall(text), "EXECUTE")
    told = [
        f"{rights} on {name}"
        for name, rights in needed.items()
        if re.search(rf"\b{re.escape(name)}\b", refusal)
    ]
    return f" It needs {', '.join(told)}." if told else ""
