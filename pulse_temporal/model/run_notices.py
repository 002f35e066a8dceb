"""Decide what a person should see first about a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.model.views import Notice, RunSummary, StepSummary


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around a run.

    Attributes:
        live_workers: That take from its queue.
        worker_seen_at: When one of those was seen last; None: none is on record.
        restarted_at: When the reconciler started it again; None: never.
        is_foreign: The TypeScript Pulse owns it.
        blocked_step_timeout: How long a step may be blocked before it fails.
    """

    live_workers: int
    worker_seen_at: datetime | None
    restarted_at: datetime | None
    is_foreign: bool
    blocked_step_timeout: timedelta


def notices_of(
    run: RunSummary, steps: Sequence[StepSummary], around: Surroundings
) -> tuple[Notice, ...]:
    """Return the notices about a run, most urgent first; a run that is over has hardly any."""
    found: list[Notice] = []
    if run.status not in TERMINAL_RUN_STATUSES and not around.is_foreign:
        found += _blocked(steps, around.blocked_step_timeout)
        if around.live_workers == 0:
            found.append(Notice(kind="no_worker", since=around.worker_seen_at))
        found += _retrying(steps)
        if run.attention == "late":
            found.append(Notice(kind="pending", since=run.created_at))
    if around.restarted_at is not None:
        found.append(Notice(kind="restarted", since=around.restarted_at))
    if around.is_foreign:
        found.append(Notice(kind="foreign"))
    return tuple(found)


def _blocked(steps: Sequence[StepSummary], timeout: timedelta) -> Iterator[Notice]:
    for step in steps:
        if step.attention == "blocked":
            yield Notice(
                kind="blocked",
                path=step.path,
                name=step.name,
                reason=step.blocked_reason,
                since=step.blocked_since,
                until=step.blocked_since + timeout if step.blocked_since else None,
            )


def _retrying(steps: Sequence[StepSummary]) -> Iterator[Notice]:
    for step in steps:
        if step.attention == "retrying":
            yield Notice(
                kind="retrying",
                path=step.path,
                name=step.name,
                reason=step.error_message,
                until=step.next_attempt_at,
            )
