"""Cron expressions in words, and what changes of the clock do to them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.model.cron import read_cron
from pulse_temporal.model.cron_words import cron_words
from pulse_temporal.services.definitions.cron import parse_cron
from pulse_temporal.services.definitions.cron_notes import clock_notes

LONGEST = 700


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("10,20 * * * *", "at minutes 10 and 20 of every hour"),
        ("@hourly", "every hour, on the hour"),
        ("0 */6 * * *", "every 6 hours, on the hour every day"),
        ("30 2 * * *", "at 02:30 every day"),
        ("0 9,17 * * 1-5", "at 09:00 and 17:00 on Mondays to Fridays"),
        ("0 12 * * 6,0", "at 12:00 on Sundays and Saturdays"),
        ("0 0 1,15 * *", "at 00:00 on the 1st and the 15th of the month"),
        ("0 0 1-3 1 *", "at 00:00 on the 1st to 3rd of the month in January"),
        ("0 0 1 * FRI", "at 00:00 on the 1st of the month and on Fridays"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        (
            "0 8 * * FRI#2,L1",
            "at 08:00 on the second Friday of the month and the last Monday of the month",
        ),
        ("5 0 * 8 *", "at 00:05 every day in August"),
        ("*/20 8-10 * * *", "every 20 minutes, in the hours 8 to 10 every day"),
    ],
)
def test_words(expression: str, words: str) -> None:
    assert cron_words(read_cron(expression)) == words


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    part = number | st.integers(1, high).map("*/{}".format) | st.just("*")
    return st.lists(part, min_size=1, max_size=20).map(",".join)


@given(st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)))
def test_no_expression_makes_long_words(fields: tuple[str, ...]) -> None:
    assert 0 < len(cron_words(read_cron(" ".join(fields)))) < LONGEST


@pytest.mark.parametrize(
    ("expression", "zone", "told"),
    [
        ("30 2 * * *", "America/New_York", [("skipped", "2027-03-14T02:30:00")]),
        (
            "30 1 * * *",
            "Europe/London",
            [("skipped", "2027-03-28T01:30:00"), ("twice", "2027-10-31T01:30:00")],
        ),
        ("30 3 * * *", "America/New_York", []),
        ("30 2 * * 1", "America/New_York", []),
        ("30 * * * *", "America/New_York", []),
        ("30 2 * * *", None, []),
        ("0 2 * * *", "Australia/Lord_Howe", [("skipped", "2027-10-03T02:00:00")]),
    ],
)
def test_changes_of_the_clock(
    expression: str, zone: str | None, told: list[tuple[str, str]]
) -> None:
    after = datetime(2026, 12, 1, 12, tzinfo=UTC)
    notes = clock_notes(parse_cron(expression, zone), after=after)
    assert [(note.kind, note.wall.isoformat()) for note in notes] == told
