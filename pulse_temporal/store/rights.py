"""What a database role must be allowed to do, as this release's statements have it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from pulse_temporal.postgres.rights import Right, rights_in
from pulse_temporal.store.statements import statements

SEQUENCE = re.compile(r"^CREATE SEQUENCE (?:IF NOT EXISTS )?(pulse_\w+)", re.MULTILINE)
NOT_FOR_WORK = ("migrations.", "invariants.")
"""Statements of the role that owns the tables, and of tests."""


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
