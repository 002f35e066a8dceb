"""The bars of a waterfall: when a step was ready, at work, and waited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.model.segments import AttemptSpan, RunSpan, with_segments
from pulse_temporal.model.views import Segment, StepSummary

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def step(
    path: str, type_: str = "action", status: str = "completed", **more: object
) -> StepSummary:
    fields = {"id": f"stp_{path}", "path": path, "name": path, "type": type_, "status": status}
    return StepSummary.model_validate({**fields, **more})


def span(claim: int, status: str, start: float, end: float | None, **more: int) -> AttemptSpan:
    return AttemptSpan(
        claim=claim,
        attempt=more.get("attempt", claim),
        generation=more.get("generation", 1),
        status=status,
        started_at=at(start),
        ended_at=None if end is None else at(end),
    )


def bars(segments: Sequence[Segment]) -> list[tuple[str, float, float | None]]:
    return [
        (
            each.kind,
            (each.start - START).total_seconds(),
            None if each.end is None else (each.end - START).total_seconds(),
        )
        for each in segments
    ]


def told(
    steps: Sequence[StepSummary], attempts: dict[str, list[AttemptSpan]], **run: float
) -> dict[str, list[tuple[str, float, float | None]]]:
    known = RunSpan(**{name: at(moment) for name, moment in run.items()})
    by_id = {f"stp_{path}": spans for path, spans in attempts.items()}
    return {each.path: bars(each.segments) for each in with_segments(known, steps, by_id)}


def test_the_first_step_is_ready_when_the_run_starts_and_the_next_when_it_ends() -> None:
    steps = [step("0", completed_at=at(3)), step("1", completed_at=at(6))]
    attempts = {"0": [span(1, "completed", 1, 3)], "1": [span(1, "completed", 4, 6)]}

    found = told(steps, attempts, started_at=0, ended_at=6)

    assert found["0"] == [("queue", 0, 1), ("ok", 1, 3)]
    assert found["1"] == [("queue", 3, 4), ("ok", 4, 6)]


def test_the_first_step_of_a_branch_is_ready_when_its_block_starts() -> None:
    steps = [
        step("0", "parallel", "running", started_at=at(2)),
        step("0/b0/0", status="running"),
        step("0/b1/0", "delay", "scheduled", started_at=at(2), scheduled_for=at(90)),
        step("0/b1/1", status="pending"),
    ]

    found = told(steps, {"0/b0/0": [span(1, "open", 3, None)]}, started_at=0)

    assert found["0"] == [("block", 2, None)]
    assert found["0/b0/0"] == [("queue", 2, 3), ("run", 3, None)]
    assert found["0/b1/0"] == [("sleep", 2, None)]
    assert found["0/b1/1"] == []


def test_a_failed_attempt_is_followed_by_its_pause_and_a_lost_one_by_the_queue() -> None:
    attempts = [
        span(1, "failed", 1, 2),
        span(2, "lost", 5, 6),
        span(3, "timed_out", 7, 8, attempt=2),
        span(4, "released", 9, 10, attempt=3),
        span(5, "completed", 10, 11, attempt=3),
    ]

    found = told([step("0", completed_at=at(11))], {"0": attempts}, started_at=1, ended_at=11)

    assert [kind for kind, _, _ in found["0"]] == [
        *("failed", "backoff", "lost", "queue", "timed_out", "backoff", "released", "ok")
    ]


def test_a_step_between_two_attempts_pauses_without_end_until_the_next_begins() -> None:
    waiting = step("0", status="scheduled", attempt=2, next_attempt_at=at(60))
    attempts = {"0": [span(1, "failed", 0, 1), span(2, "failed", 2, 3)]}

    (found,) = with_segments(RunSpan(started_at=at(0)), [waiting], {"stp_0": attempts["0"]})

    assert bars(found.segments)[-1] == ("backoff", 3, None)
    assert found.segments[-1].attempt == 3
    assert found.segments[-1].claim is None


def test_attempts_of_earlier_generations_stay_and_what_was_between_is_no_wait() -> None:
    attempts = [
        span(1, "failed", 0, 1),
        span(2, "failed", 100, 101, attempt=1, generation=2),
        span(3, "completed", 103, 104, attempt=2, generation=2),
    ]

    found = told([step("0", completed_at=at(104))], {"0": attempts}, started_at=0, ended_at=104)

    assert found["0"] == [
        *(("failed", 0, 1), ("failed", 100, 101), ("backoff", 101, 103), ("ok", 103, 104))
    ]


def test_what_comes_after_a_failed_step_is_not_ready() -> None:
    steps = [step("0", status="failed", completed_at=at(1)), step("1", status="pending")]

    found = told(steps, {"0": [span(1, "failed", 0, 1)]}, started_at=0)

    assert found["1"] == []


def test_a_step_whose_turn_has_come_waits_for_a_worker() -> None:
    steps = [step("0", status="skipped", completed_at=at(1)), step("1", status="pending")]

    assert told(steps, {}, started_at=0)["1"] == [("queue", 1, None)]
    assert told(steps, {}, started_at=0, ended_at=2)["1"] == []


def test_nothing_goes_on_after_the_end_of_the_run() -> None:
    steps = [step("0", status="running"), step("1", "delay", "scheduled", started_at=at(1))]

    found = told(steps, {"0": [span(1, "open", 0, None)]}, started_at=0, ended_at=5)

    assert found == {"0": [("run", 0, 5)], "1": [("sleep", 1, 5)]}


@pytest.mark.parametrize("type_", ["action", "approval"])
def test_a_step_without_attempts_shows_its_own_moments(type_: str) -> None:
    """Rows of the TypeScript Pulse have none, and kinds of a newer release may have none."""
    done = step("0", type_, started_at=at(1), completed_at=at(2))

    assert told([done], {}, started_at=0, ended_at=2)["0"] == [("ok", 1, 2)]


def test_rows_without_moments_have_no_bars() -> None:
    steps = [
        step("0", "delay", "scheduled"),
        step("1", "parallel", "running"),
        step("1/b0/0", status="running"),
    ]

    assert told(steps, {}) == {"0": [], "1": [], "1/b0/0": []}


def test_a_status_of_a_newer_release_is_the_kind_of_its_segment() -> None:
    found = told([step("0", status="held")], {"0": [span(1, "held", 1, 2)]}, started_at=1)

    assert found["0"] == [("held", 1, 2)]


def test_clocks_that_disagree_never_make_a_length_negative() -> None:
    steps = [
        step("0", "delay", started_at=at(9), completed_at=at(4)),
        step("1", completed_at=at(2)),
    ]

    found = told(steps, {"1": [span(1, "completed", 3, 2)]}, started_at=0, ended_at=1)

    assert found == {"0": [("sleep", 9, 9)], "1": [("ok", 3, 3)]}


MOMENTS = st.one_of(st.none(), st.integers(-5, 50).map(at))
STATUSES = st.sampled_from(
    ["pending", "scheduled", "running", "completed", "failed", "skipped", "x"]
)
ENDINGS = st.sampled_from(["open", "completed", "failed", "timed_out", "lost", "released", "y"])
TREE = ("0", "1", "1/b0/0", "1/b0/1", "1/b1/0", "2")


@st.composite
def steps_of_a_run(draw: st.DrawFn) -> list[StepSummary]:
    return [
        step(
            path,
            draw(st.sampled_from(["action", "condition", "delay", "parallel", "approval"])),
            draw(STATUSES),
            attempt=draw(st.integers(0, 3)),
            generation=draw(st.integers(1, 2)),
            started_at=draw(MOMENTS),
            completed_at=draw(MOMENTS),
        )
        for path in TREE
    ]


@st.composite
def spans(draw: st.DrawFn) -> list[AttemptSpan]:
    return [
        AttemptSpan(
            claim=claim,
            attempt=draw(st.integers(1, 3)),
            generation=draw(st.integers(1, 2)),
            status=draw(ENDINGS),
            started_at=at(draw(st.integers(0, 50))),
            ended_at=draw(MOMENTS),
        )
        for claim in range(1, draw(st.integers(0, 4)) + 1)
    ]


@given(
    steps=steps_of_a_run(),
    attempts=st.fixed_dictionaries({f"stp_{path}": spans() for path in TREE}),
    run=st.builds(RunSpan, started_at=MOMENTS, ended_at=MOMENTS),
)
def test_whatever_the_rows_say_each_attempt_is_one_bar_of_a_length_that_can_be(
    steps: list[StepSummary], attempts: dict[str, list[AttemptSpan]], run: RunSpan
) -> None:
    found = with_segments(run, steps, attempts)

    assert [each.id for each in found] == [each.id for each in steps]
    for each in found:
        assert all(bar.end is None or bar.end >= bar.start for bar in each.segments)
        if run.ended_at is not None:
            assert all(bar.end is not None for bar in each.segments)
        shown = [bar.claim for bar in each.segments if bar.claim and bar.kind not in WAITS]
        wanted = [span.claim for span in attempts[each.id]]
        assert shown == ([] if each.type in ("delay", "parallel") else wanted)


WAITS = {"queue", "backoff"}
