"""Timelines as lines, and the assertion about them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pulse_temporal.model.timeline import RunTimelineEntry, TimelineEntryType
from pulse_temporal.testing import assert_timeline, timeline_lines
from pulse_temporal.testing.timelines import Line

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entry(
    kind: TimelineEntryType, step: str | None = None, path: str | None = None, **detail: str
) -> RunTimelineEntry:
    return RunTimelineEntry(timestamp=NOW, type=kind, step_name=step, path=path, detail={**detail})


ENTRIES = [
    entry("run_created"),
    entry("step_started", "both", "0"),
    entry("step_started", "charge", "0/b0/0"),
    entry("log", "charge", "0/b0/0", message="slow"),
    entry("step_started", "ship", "0/b1/0"),
    entry("step_completed", "charge", "0/b0/0"),
    entry("run_completed"),
]


def test_lines_leave_logs_out_unless_asked_for() -> None:
    assert timeline_lines(ENTRIES, within="0/b0") == [
        "step_started charge",
        "step_completed charge",
    ]
    assert timeline_lines(ENTRIES, within="0/b0", logs=True) == [
        "step_started charge",
        "log charge: slow",
        "step_completed charge",
    ]


def test_a_parallel_step_is_not_within_itself() -> None:
    assert timeline_lines(ENTRIES, within="0") == [
        "step_started charge",
        "step_started ship",
        "step_completed charge",
    ]


@pytest.mark.parametrize(
    "expected",
    [
        ["run_created", ..., "run_completed"],
        [...],
        [..., "step_started ship", ..., "run_completed"],
        ["run_created", "step_started both", ...],
        ["run_created", ..., "step_started both", ...],
        [..., "step_started charge", "step_started ship", "step_completed charge", ...],
    ],
)
def test_dots_stand_for_any_lines(expected: list[Line]) -> None:
    assert_timeline(ENTRIES, expected)


@pytest.mark.parametrize(
    "expected",
    [
        [],
        ["run_created"],
        ["run_created", ..., "run_failed"],
        [..., "run_completed", ..., "run_completed"],
        [..., "step_started ship", ..., "step_started charge", ...],
        ["run_created", ..., "run_created", ...],
        ["step_started both", ...],
    ],
)
def test_what_happened_otherwise_is_refused(expected: list[Line]) -> None:
    with pytest.raises(AssertionError):
        assert_timeline(ENTRIES, expected)


def test_the_error_is_a_diff() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_timeline(ENTRIES, ["step_started charge", "step_failed charge"], within="0/b0")

    assert str(caught.value).splitlines() == [
        "The timeline differs (- expected, + what happened):",
        "  step_started charge",
        "- step_failed charge",
        "+ step_completed charge",
    ]
