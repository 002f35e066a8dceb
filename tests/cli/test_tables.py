"""Tables and moments as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pulse_temporal.cli.exits import UsageError
from pulse_temporal.cli.moments import read_length, read_moment, relative, took
from pulse_temporal.cli.tables import Cell, Column, table_lines

COLUMNS = (
    Column(title="ID"),
    Column(title="NAME", is_flexible=True),
    Column(title="EMPTY"),
    Column(title="TOOK", is_number=True),
)
ROWS = [
    [Cell("run_1"), Cell("a name of some length"), Cell(""), Cell("5 s")],
    [Cell("run_2"), Cell("kurz"), Cell(""), Cell("152 ms")],
]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lines(width: int | None) -> list[str]:
    return [line.plain for line in table_lines(COLUMNS, ROWS, width=width)]


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    assert lines(None) == [
        "ID     NAME                     TOOK",
        "run_1  a name of some length     5 s",
        "run_2  kurz                   152 ms",
    ]


def test_only_flexible_columns_are_cut_to_the_width() -> None:
    assert lines(28) == [
        "ID     NAME             TOOK",
        "run_1  a name of so…     5 s",
        "run_2  kurz           152 ms",
    ]


def test_ids_are_never_cut_however_narrow_the_terminal() -> None:
    assert all("run_" in line for line in lines(3)[1:])


@pytest.mark.parametrize("text", ["\x1b[2J", "two\nlines", "right\u202eleft"])
def test_a_cell_is_one_line_that_the_terminal_only_shows(text: str) -> None:
    (_, row) = table_lines(COLUMNS[:1], [[Cell(text)]], width=None)
    assert not {"\x1b", "\n", "\u202e"} & set(row.plain)


def test_wide_characters_count_as_what_they_take() -> None:
    rows = [[Cell("日本"), Cell("x")], [Cell("abcd"), Cell("y")]]
    _, first, second = table_lines((COLUMNS[0], COLUMNS[1]), rows, width=None)
    assert first.cell_len == second.cell_len


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(milliseconds=152), "152 ms"),
        (timedelta(seconds=5.47), "5.5 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=9, seconds=50), "9 min"),
        (timedelta(hours=30), "30 h"),
        (timedelta(days=3), "3 d"),
        (timedelta(seconds=-4), "0 ms"),
    ],
)
def test_a_length_of_time_is_short(length: timedelta, text: str) -> None:
    assert took(length) == text


def test_moments_to_come_and_gone() -> None:
    assert relative(NOW + timedelta(minutes=8), now=NOW) == "in 8 min"
    assert relative(NOW - timedelta(minutes=8), now=NOW) == "8 min"


def test_a_moment_is_ago_or_a_date() -> None:
    def read(text: str) -> datetime:
        return read_moment(text, option="--since", now=NOW, utc=True)

    assert read("1d") == NOW - timedelta(days=1)
    assert read("2026-02-01T10:00") == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert read("2026-02-01T10:00+02:00") == datetime(2026, 2, 1, 8, tzinfo=UTC)
    for wrong in ("yesterday", "", "1e999", "99999999999d"):
        with pytest.raises(UsageError, match="--since"):
            read(wrong)


def test_a_length_that_is_none_is_refused() -> None:
    assert read_length("5m", option="--timeout") == timedelta(minutes=5)
    with pytest.raises(UsageError, match="--timeout: 'soon' is no length of time"):
        read_length("soon", option="--timeout")
