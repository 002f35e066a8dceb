"""The rights that a statement needs, read from its text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

Right = Literal["DELETE", "INSERT", "SELECT", "UPDATE", "USAGE"]

RELATION = r'"(?:[^"]|"")+"\.(\w+)'
READ = re.compile(RELATION + r"\b(?!\()")
CALL = re.compile(RELATION + r"\(")
WRITES: tuple[tuple[Right, re.Pattern[str]], ...] = (
    ("DELETE", re.compile(r"\bDELETE\s+FROM\s+" + RELATION)),
    ("INSERT", re.compile(r"\bINSERT\s+INTO\s+" + RELATION)),
    ("UPDATE", re.compile(r"\bUPDATE\s+" + RELATION)),
)


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
