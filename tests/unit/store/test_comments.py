"""A statement that does much at once says what each part of it is for."""

from __future__ import annotations

import re

import pytest

from pulse_temporal.store.statements import written

PART = re.compile(
    r"^(?:WITH (?:RECURSIVE )?|\), )(\w+)[^\n]* AS (?:MATERIALIZED )?\(\n(.*)", re.MULTILINE
)
MANY = 4
LARGE = {
    name: parts for name, text in written().items() if len(parts := PART.findall(text)) >= MANY
}


def test_the_large_statements_are_found() -> None:
    assert {"claims.claim", "attempts.record_success", "triggers.emit_signals"} <= set(LARGE)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_each_part_says_what_it_does(name: str) -> None:
    assert not [part for part, first_line in LARGE[name] if not first_line.startswith("    -- ")]
