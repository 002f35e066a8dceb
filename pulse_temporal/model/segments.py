"""Compute the segments of a run's steps: how long each was ready, at work, and waited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from pulse_temporal.model.paths import Path, branch_prefix_of, child_path, parent_of, path_numbers
from pulse_temporal.model.views import Segment, SegmentKind, StepSummary

ENDED_WELL = frozenset({"completed", "skipped"})
"""Statuses of a step after which the next one of its list is ready."""

PAUSED = frozenset({"failed", "timed_out"})
"""Statuses of an attempt after which a pause comes; after others, a worker is awaited."""

KINDS: Mapping[str, SegmentKind] = {"completed": "ok", "open": "run"}
"""Kinds of the segments of attempts; those of other statuses are called as the status is."""


@dataclass(frozen=True, slots=True)
class AttemptSpan:
    """When one delivery of a step began and ended.

    Attributes:
        claim: Number of the delivery, from 1, unique in the step's life.
        attempt: Number of the attempt in its generation, from 1.
        status: As of ``StepAttempt``.
        ended_at: None while it is open.
    """

    claim: int
    attempt: int
    generation: int
    status: str
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunSpan:
    """When a run started and ended.

    Attributes:
        started_at: None while no step of it has begun.
        ended_at: None while it is open; nothing in it goes on afterwards.
    """

    started_at: datetime | None = None
    ended_at: datetime | None = None


def with_segments(
    run: RunSpan,
    steps: Sequence[StepSummary],
    attempts: Mapping[str, Sequence[AttemptSpan]],
) -> tuple[StepSummary, ...]:
    """Return the steps of a run with their segments.

    Args:
        run: When the run started and ended.
        steps: All steps of the run, in document order.
        attempts: Those of each step, by the step's id, in the order of their claims.
    """
    by_path = {step.path: step for step in steps}
    told: list[StepSummary] = []
    for step in steps:
        ready = _ready_at(step.path, by_path, run)
        found = tuple(
            _bounded(segment, run)
            for segment in _segments(step, attempts.get(step.id, ()), ready, run)
        )
        told.append(step.model_copy(update={"segments": found}))
    return tuple(told)


def _ready_at(path: Path, by_path: Mapping[Path, StepSummary], run: RunSpan) -> datetime | None:
    """Return when a step's turn came; None: it has not come, or no row says when.

    That is the end of the step before it in its list, the start of the block for the first step
    of a branch, and the start of the run for the first of all.
    """
    index = path_numbers(path)[-1]
    prefix = branch_prefix_of(path)
    if index > 0:
        before = by_path.get(child_path(prefix, index - 1))
        return before.completed_at if before and before.status in ENDED_WELL else None
    block, _ = parent_of(path)
    if block is None:
        return run.started_at
    around = by_path.get(block)
    return around.started_at if around else None


def _segments(
    step: StepSummary, attempts: Sequence[AttemptSpan], ready: datetime | None, run: RunSpan
) -> Iterator[Segment]:
    """Yield the segments of one step; those that go on have no end yet."""
    is_going_on = run.ended_at is None
    if step.type in ("delay", "parallel"):
        yield from _own_time(step, ready)
    elif attempts:
        yield from _attempts(attempts, ready)
        if is_going_on and step.status == "scheduled":
            yield from _pause_after(attempts[-1], step)
    elif step.started_at is not None:
        # Of the TypeScript Pulse, or of a kind that a newer release knows.
        kind = {"completed": "ok", "failed": "failed"}.get(step.status, "run")
        yield _segment(kind, step.started_at, step.completed_at, generation=step.generation)
    if is_going_on and step.status == "pending" and ready is not None and not attempts:
        yield _segment("queue", ready, None, attempt=1, generation=step.generation)


def _own_time(step: StepSummary, ready: datetime | None) -> Iterator[Segment]:
    """Yield the one segment of a delay or a parallel step that has begun."""
    kind = "sleep" if step.type == "delay" else "block"
    start = step.started_at
    if start is None and step.status in ("scheduled", "running", "completed"):
        start = ready
    if start is not None:
        yield _segment(kind, start, step.completed_at, generation=step.generation)


def _attempts(attempts: Sequence[AttemptSpan], ready: datetime | None) -> Iterator[Segment]:
    """Yield the attempts of a step, and what was between them."""
    first = attempts[0]
    if ready is not None and ready < first.started_at:
        yield _wait("queue", ready, first)
    yield _attempt(first)
    for before, span in pairwise(attempts):
        # What passed between two generations was nobody's wait: the run had failed.
        if before.generation == span.generation and _ends_before(before, span):
            kind = "backoff" if before.status in PAUSED else "queue"
            yield _wait(kind, before.ended_at or before.started_at, span)
        yield _attempt(span)


def _ends_before(before: AttemptSpan, span: AttemptSpan) -> bool:
    return before.ended_at is not None and before.ended_at < span.started_at


def _pause_after(last: AttemptSpan, step: StepSummary) -> Iterator[Segment]:
    """Yield what goes on since the last attempt: its pause, or the wait for a worker."""
    if last.ended_at is None or last.generation != step.generation:
        return
    is_pause = last.status in PAUSED
    yield _segment(
        "backoff" if is_pause else "queue",
        last.ended_at,
        None,
        attempt=step.attempt + 1,
        generation=step.generation,
    )


def _attempt(span: AttemptSpan) -> Segment:
    return Segment(
        kind=KINDS.get(span.status, span.status),
        start=span.started_at,
        end=span.ended_at,
        attempt=span.attempt,
        claim=span.claim,
        generation=span.generation,
    )


def _wait(kind: SegmentKind, since: datetime, span: AttemptSpan) -> Segment:
    """Return the wait that an attempt ended."""
    return Segment(
        kind=kind,
        start=since,
        end=span.started_at,
        attempt=span.attempt,
        claim=span.claim,
        generation=span.generation,
    )


def _segment(
    kind: str,
    start: datetime,
    end: datetime | None,
    *,
    attempt: int | None = None,
    generation: int = 1,
) -> Segment:
    return Segment(kind=kind, start=start, end=end, attempt=attempt, generation=generation)


def _bounded(segment: Segment, run: RunSpan) -> Segment:
    """Return a segment that ends with its run at the latest, and never before it began."""
    end = segment.end or run.ended_at
    if end == segment.end and (end is None or end >= segment.start):
        return segment
    return segment.model_copy(update={"end": max(end, segment.start) if end else None})
