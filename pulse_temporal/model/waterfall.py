"""A run as rows of bars: one row a step, in document order, on one time axis.

A run of very many steps is folded: what is done and what has not begun is told in one row each,
so that the rows that remain are those that somebody looks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal

from pydantic import AwareDatetime

from pulse_temporal.model.paths import Path, branch_prefix_of, parent_of, path_numbers
from pulse_temporal.model.timescale import Span, Tick, TimeScale, make_time_scale, ticks_of
from pulse_temporal.model.values import Flag, Value
from pulse_temporal.model.views import RunView, Segment, SegmentKind, StepSummary

MOST_ROWS = 300
"""A run with more steps is folded."""

SHORTEST_STRETCH = 3
"""So many steps of a list that are done, or have not begun, are worth a fold."""

IDLE_KINDS: frozenset[SegmentKind | str] = frozenset({"backoff", "sleep", "block"})
"""Segments during which nothing is queued or at work."""

Calm = Literal["done", "not_begun"]


class Bar(Value):
    """A segment at its place on the axis.

    Attributes:
        kind: As of the segment.
        x: Its left edge in percent of the axis.
        width: In percent of the axis; may be 0.
        is_open: Whether it grows with the present moment.
    """

    kind: SegmentKind | str
    x: float
    width: float
    start: AwareDatetime
    end: AwareDatetime | None = None
    attempt: int | None = None
    is_open: Flag = False


class StepRow(Value):
    """The row of a step.

    Attributes:
        depth: How many parallel steps contain it.
        branch: Number of its branch, from 0; None in the root list.
        opens_branch: Whether it is the first of its branch.
        began_at: Start of its first segment.
        ended_at: When it was over; None while it is not.
    """

    step: StepSummary
    depth: int
    branch: int | None = None
    opens_branch: Flag = False
    bars: tuple[Bar, ...] = ()
    began_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None

    @property
    def path(self) -> Path:
        """Path of the step."""
        return self.step.path


class FoldedRow(Value):
    """One row for many steps that need nobody's attention.

    Attributes:
        path: Of the first of them.
        steps: How many they are.
        branches: How many branches they fill; None for a stretch of one list.
        branches_of_all: How many branches the parallel step has.
        state: ``done``: completed or skipped. ``not_begun``: pending.
    """

    path: Path
    depth: int
    branch: int | None = None
    steps: int
    branches: int | None = None
    branches_of_all: int | None = None
    state: Calm
    bars: tuple[Bar, ...] = ()


WaterfallRow = StepRow | FoldedRow


class Waterfall(Value):
    """All rows of a run and their axis.

    Attributes:
        rows: In document order.
        steps: How many steps the run has, shown or not.
        failed: How many of them failed.
        is_folded: Whether there are rows that stand for many steps.
    """

    rows: tuple[WaterfallRow, ...]
    scale: TimeScale
    ticks: tuple[Tick, ...]
    steps: int
    failed: int
    is_folded: Flag


def waterfall_of(
    view: RunView, *, now: datetime, fold_idle: bool = True, show_all: bool = False
) -> Waterfall:
    """Return the waterfall of a run.

    Args:
        view: The run with its steps in document order.
        now: The present moment; bars that go on end there.
        fold_idle: False draws idle time as long as it was.
        show_all: False folds a run of more than 300 steps.
    """
    run = view.run
    busy = [
        Span(segment.start, segment.end)
        for step in view.steps
        for segment in step.segments
        if segment.kind not in IDLE_KINDS
    ]
    scale = make_time_scale(busy, start=run.created_at, end=run.ended_at, now=now, fold=fold_idle)
    drawing = _Drawing(scale, end=run.ended_at, now=now)
    if show_all or len(view.steps) <= MOST_ROWS:
        rows: list[WaterfallRow] = [drawing.row(step) for step in view.steps]
    else:
        rows = list(_folded(view.steps, drawing))
    return Waterfall(
        rows=tuple(rows),
        scale=scale,
        ticks=ticks_of(scale, end=run.ended_at, now=now),
        steps=len(view.steps),
        failed=sum(step.status == "failed" for step in view.steps),
        is_folded=any(isinstance(row, FoldedRow) for row in rows),
    )


class _Drawing:
    """Puts segments on the axis of a run."""

    def __init__(self, scale: TimeScale, *, end: datetime | None, now: datetime) -> None:
        self._scale = scale
        self._is_open = end is None
        self._now = end or now

    def row(self, step: StepSummary) -> StepRow:
        """Return the row of a step."""
        segments = step.segments
        _, branch = parent_of(step.path)
        return StepRow(
            step=step,
            depth=_depth(step.path),
            branch=branch,
            opens_branch=branch is not None and path_numbers(step.path)[-1] == 0,
            bars=tuple(self._bar(segment) for segment in segments),
            began_at=segments[0].start if segments else step.started_at,
            ended_at=step.completed_at or (segments[-1].end if segments else None),
        )

    def bars_over(self, steps: Sequence[StepSummary]) -> tuple[Bar, ...]:
        """Return one bar from the start of the first segment of several steps to the last end."""
        segments = [segment for step in steps for segment in step.segments]
        if not segments:
            return ()
        start = min(segment.start for segment in segments)
        end = max(segment.end or self._now for segment in segments)
        return (self._bar(Segment(kind="block", start=start, end=max(start, end))),)

    def _bar(self, segment: Segment) -> Bar:
        x = self._scale.x(segment.start)
        end = segment.end or max(self._now, segment.start)
        return Bar(
            kind=segment.kind,
            x=x,
            width=self._scale.x(end) - x,
            start=segment.start,
            end=segment.end,
            attempt=segment.attempt,
            is_open=segment.end is None and self._is_open,
        )


def _folded(steps: Sequence[StepSummary], drawing: _Drawing) -> Iterator[WaterfallRow]:
    """Yield the rows of a run with very many steps."""
    yield from _Tree(steps, drawing).rows("")


class _Tree:
    """The lists of a run, by the prefix of their steps' paths."""

    def __init__(self, steps: Sequence[StepSummary], drawing: _Drawing) -> None:
        self._drawing = drawing
        self._lists: dict[str, list[StepSummary]] = {}
        self._branches: dict[Path, list[str]] = {}
        for step in steps:
            prefix = branch_prefix_of(step.path)
            if prefix not in self._lists:
                self._lists[prefix] = []
                self._branches.setdefault(prefix.rpartition("/")[0], []).append(prefix)
            self._lists[prefix].append(step)

    def rows(self, prefix: str) -> Iterator[WaterfallRow]:
        """Yield the rows of one list; stretches without anything to look at are one row."""
        for state, stretch in groupby(self._lists.get(prefix, ()), self._state_below):
            same = list(stretch)
            if state is not None and len(same) >= SHORTEST_STRETCH:
                everything = [step for each in same for step in self._below(each)]
                yield self._fold(everything, state)
                continue
            for step in same:
                yield self._drawing.row(step)
                yield from self._inside(step)

    def _inside(self, step: StepSummary) -> Iterator[WaterfallRow]:
        """Yield the rows of a parallel step's branches; the calm ones of a state are one row."""
        prefixes = self._branches.get(step.path, [])
        states: dict[str, Calm | None] = {each: self._branch_state(each) for each in prefixes}
        told: set[Calm] = set()
        for prefix in prefixes:
            state = states[prefix]
            alike = [other for other in prefixes if states[other] == state]
            if state is None or len(alike) < SHORTEST_STRETCH:
                yield from self.rows(prefix)
            elif state not in told:
                told.add(state)
                everything = [each for other in alike for each in self._all_of(other)]
                yield self._fold(everything, state, branches=(len(alike), len(prefixes)))

    def _fold(
        self, steps: Sequence[StepSummary], state: Calm, branches: tuple[int, int] | None = None
    ) -> FoldedRow:
        first = steps[0].path
        _, branch = parent_of(first)
        return FoldedRow(
            path=first,
            depth=_depth(first),
            branch=None if branches else branch,
            steps=len(steps),
            branches=branches[0] if branches else None,
            branches_of_all=branches[1] if branches else None,
            state=state,
            bars=self._drawing.bars_over(steps),
        )

    def _all_of(self, prefix: str) -> Iterator[StepSummary]:
        for step in self._lists.get(prefix, ()):
            yield from self._below(step)

    def _below(self, step: StepSummary) -> Iterator[StepSummary]:
        """Yield a step, and all that are inside of it."""
        yield step
        for prefix in self._branches.get(step.path, ()):
            yield from self._all_of(prefix)

    def _state_below(self, step: StepSummary) -> Calm | None:
        return _common_state(self._below(step))

    def _branch_state(self, prefix: str) -> Calm | None:
        return _common_state(self._all_of(prefix))


def _common_state(steps: Iterator[StepSummary]) -> Calm | None:
    """Return the state of steps that need nobody's attention; None when they differ, or do."""
    states: set[Calm | None] = {_state(step) for step in steps}
    return states.pop() if len(states) == 1 else None


def _state(step: StepSummary) -> Calm | None:
    if step.attention or step.warnings:
        return None
    if step.status in ("completed", "skipped"):
        return "done"
    return "not_begun" if step.status == "pending" and not step.segments else None


def _depth(path: Path) -> int:
    return path.count("/") // 2
