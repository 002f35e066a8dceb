"""Bulk operations: one deed on many runs, who asked for it, and how far it has come."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from pulse_temporal.model.acting import Actor
from pulse_temporal.model.runs import RUN_TRANSITIONS, RunStatus
from pulse_temporal.model.values import JsonObject, Name, Value
from pulse_temporal.model.view_filters import RunSummaryFilter
from pulse_temporal.model.views import BoundedCount, RunSummary

BulkKind = Literal["retry", "cancel", "replay"]
"""What is done to each run; a replay is of the signal that started it."""

BulkStatus = Literal["collecting", "running", "completed", "aborted"]
BulkOutcome = Literal["pending", "done", "failed", "skipped"]

ELIGIBLE: dict[BulkKind, frozenset[RunStatus]] = {
    "retry": frozenset({"failed"}),
    "cancel": frozenset({"pending", "running", "waiting"}),
    "replay": frozenset(RUN_TRANSITIONS),
}
"""Statuses of the runs that something can be done to."""

USUAL_RATE = 20.0
HIGHEST_RATE = 1_000.0
MOST_NAMED = 10_000
"""Runs that one operation may name; a filter has no bound."""


class BulkFilter(RunSummaryFilter):
    """Which runs to do something to; every field that is set narrows it.

    Raises ``InvalidInputError`` when it is made with an unknown or wrong field.

    Attributes:
        failed_step: Name of the step that has failed.
        error: Of failed runs, as ``FailureGroup.error`` has it: numbers and hexadecimal ids
            stand as ``#``.
        failed_as: Id of a failed run: those of the same definition that have failed at the same
            step with the same error, as it stands when the operation starts.
    """

    failed_step: Name | None = None
    error: Annotated[str, Field(strict=True, max_length=300)] | None = None
    failed_as: str | None = None


class BulkOperation(Value):
    """One deed on many runs of a tenant.

    Attributes:
        id: ``blk_`` + UUIDv7.
        kind: ``retry``, ``cancel`` or ``replay``.
        name: For people.
        reason: Why, for each run's timeline and the audit.
        filter: Which runs, as it was frozen at the start; None: they were named.
        repeats: The operation whose failed items these are.
        status: ``collecting`` while the runs of the filter are written down, then ``running``,
            at last ``completed`` or ``aborted``.
        rate: Runs a second, at most.
        actor: Who has started it.
        items: Runs it is about; grows while they are collected.
        done: Runs to which it was done.
        failed: Runs to which it could not be done; its items say why.
        skipped: Runs to which there was nothing to do, as they were in another state by then.
        created_at: When it was started, by the clock of Postgres.
        ended_at: When it was over.
    """

    id: str
    tenant_id: str
    kind: BulkKind | str
    name: str | None = None
    reason: str | None = None
    filter: JsonObject | None = None
    repeats: str | None = None
    status: BulkStatus | str
    rate: float
    actor: Actor
    items: int
    done: int
    failed: int
    skipped: int
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done."""
        return self.status in ("completed", "aborted")

    @property
    def left(self) -> int:
        """How many of its items are neither done nor given up."""
        return self.items - self.done - self.failed - self.skipped


class BulkItem(Value):
    """One run of a bulk operation.

    Attributes:
        outcome: ``pending`` until it is its turn, for ever where the operation was aborted.
        code: Of the error, for example ``run_transition``.
        error: Why nothing was done.
        generation: That a retry has begun.
        run_ids: Runs that a replay has started.
        ended_at: When it was its turn.
    """

    operation_id: str
    run_id: str
    tenant_id: str
    outcome: BulkOutcome | str
    code: str | None = None
    error: str | None = None
    generation: int | None = None
    run_ids: tuple[str, ...] = ()
    ended_at: AwareDatetime | None = None


class BulkPreview(Value):
    """What a bulk operation would be about, if it began now.

    Attributes:
        eligible: Runs to which something would be done.
        not_eligible: Other runs that are meant, by status; ``unknown`` are ids of no run.
        samples: The newest five of the eligible ones.
    """

    kind: BulkKind
    eligible: BoundedCount
    not_eligible: dict[str, BoundedCount]
    samples: tuple[RunSummary, ...]
