"""Reports of the reconciler: what differs between the mirror and Temporal, and what was done."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from pulse_temporal.model.values import Value

Found = Literal[
    "completed",
    "failed",
    "canceled",
    "terminated",
    "timed_out",
    "not_found",
    "never_started",
    "still_open",
    "branch_lost",
    "schedule_differs",
    "schedule_left_over",
]
"""The state of a workflow or schedule in Temporal that contradicts Postgres."""

Remedy = Literal[
    "fail", "cancel", "restart", "start", "end_workflow", "terminate_workflow", "sync_schedule"
]


class Repair(Value):
    """One difference and its remedy.

    Attributes:
        subject_id: The run, or for schedules the definition.
        tenant_id: Its owner; empty for the schedule of a definition that is gone.
        generation: Of the run, before the repair; 0 for schedules.
        found: The state in Temporal.
        remedy: ``fail`` and ``cancel`` end the run as its workflow has ended. ``restart`` goes
            on with it in its next generation, from what is on record. ``start`` starts a workflow
            that was never started. ``end_workflow`` cancels one whose run is over;
            ``terminate_workflow`` ends one at once that could not obey a cancel.
            ``sync_schedule`` makes a schedule equal to its definition.
        reason: The difference in words.
    """

    subject_id: str
    tenant_id: str
    generation: int = 0
    found: Found
    remedy: Remedy
    reason: str


class ReconcileReport(Value):
    """The outcome of one comparison.

    Attributes:
        at: When it ended.
        checked: Open runs that Temporal was asked about.
        repairs: What was repaired; with ``applied`` false, what would be.
        applied: False for a dry run, and when the comparison was halted.
        halted: Why nothing was repaired although something differs; None: it was not halted.
        unknown_workflows: Open workflows of this task queue without a run, at most 100; they are
            left alone.
        problems: What could not be compared or repaired, at most 100 sentences; the next
            comparison tries again.
        differences: Their number, even where ``repairs`` was cut to 100 to be stored.
    """

    at: AwareDatetime
    checked: int = 0
    repairs: tuple[Repair, ...] = ()
    applied: bool = True
    halted: str | None = None
    unknown_workflows: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    differences: int = 0
