"""How a health check writes lengths of time and numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal.services.care.diagnosis import count, judge_server, length
from pulse_temporal.store.health import Server


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(), "0 s"),
        (timedelta(milliseconds=900), "0 s"),
        (timedelta(seconds=-1), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=1, seconds=5), "1 min 5 s"),
        (timedelta(hours=2, seconds=5), "2 h"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (None, "0 s"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(time: timedelta | None, text: str) -> None:
    assert length(time) == text


def test_a_count_that_was_cut_says_so() -> None:
    assert count(1, "run", limit=1_000) == "1 run"
    assert count(999, "run", limit=1_000) == "999 runs"
    assert count(1_000, "run", limit=1_000) == "1 000 or more runs"
    assert count(12_345, "run") == "12 345 runs"


def test_an_old_postgres_is_refused() -> None:
    old = Server(
        database="app", version="14.9 (Debian)", version_number=140_009, is_read_only=False
    )
    check = judge_server(old)
    assert check.status == "failed"
    assert "Postgres 14.9" in check.summary
    assert "15 or newer" in (check.advice or "")
