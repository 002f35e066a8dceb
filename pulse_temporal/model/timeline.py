"""The timeline of a run: its events and log lines in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import AwareDatetime, Field

from pulse_temporal.model.paths import Path
from pulse_temporal.model.runs import ExecutionLog, WorkflowStepRun
from pulse_temporal.model.values import JsonObject, Value

TimelineEntryType = Literal[
    "run_created",
    "run_completed",
    "run_failed",
    "run_canceled",
    "step_scheduled",
    "step_started",
    "step_completed",
    "step_failed",
    "step_skipped",
    "log",
]


class TimelineEvent(Value):
    """A stored change of a run or of one of its steps.

    Attributes:
        seq: Position among all events and log lines of the database.
        kind: What happened.
        path: The step that it happened to; None for the run.
        at: When, UTC; not for sorting, as it comes from the clocks of several machines.
        detail: Facts about the event.
    """

    seq: int
    kind: TimelineEntryType | str
    path: Path | None = None
    at: AwareDatetime
    detail: JsonObject = Field(default_factory=dict)


class RunTimelineEntry(Value):
    """One line of a run's timeline; the step fields are None for the run itself."""

    timestamp: AwareDatetime
    type: TimelineEntryType | str
    step_index: int | None = None
    step_name: str | None = None
    step_type: str | None = None
    path: Path | None = None
    detail: JsonObject = Field(default_factory=dict)


def build_timeline(
    events: Iterable[TimelineEvent],
    steps: Iterable[WorkflowStepRun],
    logs: Iterable[ExecutionLog],
) -> list[RunTimelineEntry]:
    """Return the timeline of one run: its events and log lines in the order of ``seq``.

    Timestamps do not count, as they come from several machines. The detail of a ``log``
    entry is ``level`` and ``message``, and ``data`` when there is any.

    Args:
        events: Of one run, in any order.
        steps: All step runs of that run; they name the steps.
        logs: Of the same run, in any order.
    """
    known = list(steps)
    by_path = {step.path: step for step in known}
    by_id = {step.id: step for step in known}
    entries = [(event.seq, _event_entry(event, by_path)) for event in events]
    entries += [(log.seq, _log_entry(log, by_id.get(log.step_run_id or ""))) for log in logs]
    entries.sort(key=_seq)
    return [entry for _, entry in entries]


def _seq(pair: tuple[int, RunTimelineEntry]) -> int:
    return pair[0]


def _event_entry(event: TimelineEvent, by_path: dict[Path, WorkflowStepRun]) -> RunTimelineEntry:
    step = by_path.get(event.path) if event.path else None
    return RunTimelineEntry(
        timestamp=event.at,
        type=event.kind,
        step_index=step.step_index if step else None,
        step_name=step.step_name if step else None,
        step_type=step.step_type if step else None,
        path=event.path,
        detail=event.detail,
    )


def _log_entry(log: ExecutionLog, step: WorkflowStepRun | None) -> RunTimelineEntry:
    detail: JsonObject = {"level": log.level, "message": log.message}
    if log.data:
        detail["data"] = log.data
    return RunTimelineEntry(
        timestamp=log.created_at,
        type="log",
        step_index=step.step_index if step else None,
        step_name=step.step_name if step else None,
        step_type=step.step_type if step else None,
        path=step.path if step else None,
        detail=detail,
    )
