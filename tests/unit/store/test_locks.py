"""Rows of Pulse are never locked against rows of the application that refer to them."""

from __future__ import annotations

import re
from pathlib import Path

import pulse_temporal

STORE = Path(pulse_temporal.__file__).parent / "store"
FILES = sorted(STORE.rglob("*.sql"))
COMMENT = re.compile(r"--[^\n]*")


def test_no_statement_locks_rows_against_foreign_keys() -> None:
    """FOR UPDATE waits for every transaction that has inserted a reference to the row."""
    assert FILES
    found = [
        f"{path.name}: {match[0]}"
        for path in FILES
        for match in re.finditer(
            r"\bFOR\s+UPDATE\b(?!\s+ON)", COMMENT.sub("", path.read_text()), re.IGNORECASE
        )
    ]

    assert not found
