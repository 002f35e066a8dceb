"""What the reconciler reads and keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.model.runs import RunStatus
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.rows import required


@dataclass(frozen=True, slots=True)
class ReconcilerState:
    """Where the comparison of a queue's runs stands.

    Attributes:
        namespace_id: Temporal's own id of the namespace that the runs live in.
        position: Id of the run after which the next turn goes on; None: from the start.
        listed_before: Open workflows that started before are listed next; None: the newest.
        report: Of the last comparison.
    """

    namespace_id: str | None = None
    position: str | None = None
    listed_before: datetime | None = None
    report: ReconcileReport | None = None


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is not over, and that Temporal was once told to start.

    ``has_begun``: a workflow of its generation has spoken; until then it waits in the task queue.
    """

    id: str
    tenant_id: str
    generation: int
    has_begun: bool


@dataclass(frozen=True, slots=True)
class StandingRun:
    """How a run stands; ``is_settled``: it has not just changed, and no command is on its way."""

    id: str
    tenant_id: str
    status: RunStatus
    generation: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class ScheduledDefinition:
    """A definition that has a schedule."""

    id: str
    tenant_id: str
    is_enabled: bool
    cron_expression: str
    timezone: str


async def take_turn(session: Session, *, task_queue: str, pause: timedelta) -> bool:
    """Return whether this process is to compare now; nobody else is, until the pause is over."""
    return await session.row("reconcile.take_turn", task_queue=task_queue, pause=pause) is not None


async def state(session: Session, *, task_queue: str) -> ReconcilerState:
    """Read where the comparison stands."""
    row = await session.row("reconcile.state", task_queue=task_queue)
    if row is None:
        return ReconcilerState()
    report = row["report"]
    return ReconcilerState(
        namespace_id=row["namespace_id"],
        position=row["position"],
        listed_before=row["listed_before"],
        report=ReconcileReport.model_validate_json(report, extra="ignore") if report else None,
    )


async def note(session: Session, state: ReconcilerState, *, task_queue: str) -> None:
    """Keep where the comparison stands."""
    report = state.report.model_dump_json() if state.report else None
    await session.run(
        "reconcile.note",
        task_queue=task_queue,
        namespace_id=state.namespace_id,
        position=state.position,
        listed_before=state.listed_before,
        report=report,
    )


async def open_runs(
    session: Session, *, task_queue: str, after: str | None, age: timedelta, limit: int
) -> list[OpenRun]:
    """Read runs that are not over, in id order.

    Args:
        session: Where to read.
        task_queue: Whose runs.
        after: Id to continue after.
        age: Leaves out what has changed since.
        limit: Rows.
    """
    found = await session.rows(
        "reconcile.open_runs", task_queue=task_queue, after=after, age=age, row_limit=limit
    )
    return [OpenRun(**dict(row.items())) for row in found]


async def count_open(session: Session, *, limit: int) -> int:
    """Count the runs that are not over, of all queues, up to a limit."""
    row = await session.row("reconcile.count_open", row_limit=limit)
    return required(row, "a count")["runs"]


async def standing(
    session: Session, run_ids: Sequence[str], *, age: timedelta
) -> dict[str, StandingRun]:
    """Read how the runs stand that exist among these ids; settled are those of this age."""
    found = await session.rows("reconcile.standing", run_ids=run_ids, age=age)
    return {row["id"]: StandingRun(**dict(row.items())) for row in found}


async def has_command(session: Session, run_id: str, *, tenant_id: str) -> bool:
    """Return whether a command about a run is on its way to Temporal."""
    return (
        await session.row("reconcile.has_command", run_id=run_id, tenant_id=tenant_id) is not None
    )


async def restarts(session: Session, run_id: str, *, tenant_id: str) -> int:
    """Return how often the reconciler has restarted a run."""
    row = await session.row("reconcile.restarts", run_id=run_id, tenant_id=tenant_id)
    return required(row, "a count")["restarts"]


async def unscheduled(
    session: Session, definition_ids: Sequence[str], *, task_queue: str
) -> dict[str, str]:
    """Return id and tenant of the definitions, among these, that should have no schedule."""
    found = await session.rows(
        "reconcile.unscheduled", definition_ids=definition_ids, task_queue=task_queue
    )
    return {row["id"]: row["tenant_id"] for row in found}


async def scheduled(session: Session, *, task_queue: str) -> list[ScheduledDefinition]:
    """Read the definitions whose schedules a queue keeps."""
    found = await session.rows("reconcile.scheduled", task_queue=task_queue)
    return [ScheduledDefinition(**dict(row.items())) for row in found]
