"""A run as rows of bars."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from pulse_temporal.model.views import (
    Attention,
    RunSummary,
    RunView,
    Segment,
    StepSummary,
    TemporalPlace,
)
from pulse_temporal.model.waterfall import FoldedRow, StepRow, Waterfall, waterfall_of

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def segment(kind: str, start: float, end: float | None) -> Segment:
    return Segment(kind=kind, start=at(start), end=None if end is None else at(end))


def step(
    path: str,
    status: str = "completed",
    *segments: Segment,
    attention: Attention | None = None,
    warnings: int = 0,
) -> StepSummary:
    return StepSummary(
        id=f"stp_{path}",
        path=path,
        name=f"s{path}",
        type="action",
        status=status,
        segments=segments,
        attention=attention,
        warnings=warnings,
        completed_at=segments[-1].end if segments and status == "completed" else None,
    )


def view(steps: Iterable[StepSummary], *, ended: float | None = None) -> RunView:
    run = RunSummary(
        id="run_1",
        tenant_id="acme",
        definition_id="wfd_1",
        definition_name="n",
        signal_id="trg_1",
        signal_type="t",
        status="running" if ended is None else "completed",
        created_at=START,
        ended_at=None if ended is None else at(ended),
    )
    place = TemporalPlace(namespace="default", workflow_id="run_1")
    return RunView(run=run, steps=tuple(steps), temporal=place, source="test", updated_at=START)


def told(waterfall: Waterfall) -> list[str]:
    """Return the rows in words."""
    return [
        row.path
        if isinstance(row, StepRow)
        else f"{row.path} +{row.steps - 1} {row.state} {row.branches}/{row.branches_of_all}"
        for row in waterfall.rows
    ]


def test_a_step_has_a_row_with_a_bar_for_each_segment() -> None:
    life = (segment("queue", 0, 1), segment("ok", 1, 2))
    drawn = waterfall_of(view([step("0", "completed", *life)], ended=2), now=at(9))
    (row,) = drawn.rows
    assert isinstance(row, StepRow)
    assert [(bar.kind, bar.x, bar.width) for bar in row.bars] == [("queue", 0, 50), ("ok", 50, 50)]
    assert (row.began_at, row.ended_at) == (at(0), at(2))


def test_branches_have_lanes() -> None:
    steps = [step(path) for path in ("0", "0/b0/0", "0/b0/1", "0/b1/0", "0/b1/0/b0/0")]
    rows = waterfall_of(view(steps), now=at(1)).rows
    lanes = [(row.depth, row.branch, row.opens_branch) for row in rows if isinstance(row, StepRow)]
    assert lanes == [
        (0, None, False),
        (1, 0, True),
        (1, 0, False),
        (1, 1, True),
        (2, 0, True),
    ]


def test_a_bar_that_goes_on_ends_now() -> None:
    drawn = waterfall_of(view([step("0", "running", segment("run", 0, None))]), now=at(1))
    (row,) = drawn.rows
    (bar,) = row.bars
    assert bar.is_open
    assert bar.width == pytest.approx(drawn.scale.x(at(1)))


def test_nothing_grows_in_a_run_that_is_over() -> None:
    steps = [step("0", "running", segment("run", 0, None))]
    (row,) = waterfall_of(view(steps, ended=2), now=at(99)).rows
    (bar,) = row.bars
    assert not bar.is_open
    assert bar.width == 100


def test_pauses_and_delays_are_idle_time_and_are_folded() -> None:
    life = (segment("failed", 0, 1), segment("backoff", 1, 61), segment("run", 61, None))
    drawn = waterfall_of(view([step("0", "running", *life)]), now=at(62))
    assert [fold.start for fold in drawn.scale.folds] == [at(1)]
    linear = waterfall_of(view([step("0", "running", *life)]), now=at(62), fold_idle=False)
    assert linear.scale.folds == ()


def test_a_segment_of_a_newer_release_counts_as_work() -> None:
    drawn = waterfall_of(view([step("0", "odd", segment("odd", 0, 60))], ended=60), now=at(99))
    assert drawn.scale.folds == ()
    assert drawn.rows[0].bars[0].kind == "odd"


def test_a_run_of_three_hundred_steps_is_shown_whole() -> None:
    drawn = waterfall_of(view([step(str(n)) for n in range(300)]), now=at(1))
    assert len(drawn.rows) == 300
    assert not drawn.is_folded


def test_a_longer_run_shows_what_needs_attention_and_folds_the_rest() -> None:
    steps = [step(str(n)) for n in range(310)]
    steps[100] = step("100", "failed")
    steps[200] = step("200", "running", attention="retrying")
    steps[205] = step("205", warnings=1)
    steps[300:] = [step(str(n), "pending") for n in range(300, 310)]
    drawn = waterfall_of(view(steps), now=at(1))
    assert told(drawn) == [
        "0 +99 done None/None",
        "100",
        "101 +98 done None/None",
        "200",
        "201 +3 done None/None",
        "205",
        "206 +93 done None/None",
        "300 +9 not_begun None/None",
    ]
    assert (drawn.steps, drawn.failed, drawn.is_folded) == (310, 1, True)


def test_completed_branches_are_one_row() -> None:
    steps = [step("0", "running", segment("block", 0, None))]
    for branch in range(100):
        status = "failed" if branch == 50 else "completed"
        steps += [step(f"0/b{branch}/{n}", status) for n in range(4)]
    assert told(waterfall_of(view(steps), now=at(1))) == [
        "0",
        "0/b0/0 +395 done 99/100",
        "0/b50/0",
        "0/b50/1",
        "0/b50/2",
        "0/b50/3",
    ]


def test_a_fold_has_one_bar_over_all_of_its_steps() -> None:
    steps = [step(str(n), "completed", segment("ok", n, n + 1)) for n in range(310)]
    (row,) = waterfall_of(view(steps, ended=310), now=at(999)).rows
    assert isinstance(row, FoldedRow)
    assert [(bar.start, bar.end) for bar in row.bars] == [(at(0), at(310))]


def test_all_rows_are_shown_on_demand() -> None:
    steps = [step(str(n)) for n in range(400)]
    assert len(waterfall_of(view(steps), now=at(1), show_all=True).rows) == 400
