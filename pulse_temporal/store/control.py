"""Control rows and lineages: who may act on a run. Locked before all else."""

from __future__ import annotations

from dataclasses import dataclass

from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.store.connection import Record
from pulse_temporal.store.database import Session
from pulse_temporal.store.rows import required, snapshot


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes: a Temporal execution, for a run or one of its branches.

    Attributes:
        branch: ``""`` for the run itself, else a path such as ``2/b0``.
        temporal_run_id: The execution that writes.
        first_execution_run_id: First of the chain that it belongs to (reset, continue-as-new).
        parent_run_id: The execution that started it, for branches.
    """

    run_id: str
    tenant_id: str
    generation: int
    branch: str
    temporal_run_id: str
    first_execution_run_id: str
    parent_run_id: str | None


@dataclass(frozen=True, slots=True)
class Control:
    """What the control row says; tenant_id is that of the run."""

    tenant_id: str
    generation: int
    task_queue: str
    is_canceled: bool


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which executions have spoken for a run or branch in one generation."""

    first_execution_run_id: str
    temporal_run_id: str
    earlier_run_ids: tuple[str, ...]
    epoch: int


async def share(session: Session, run_id: str, *, tenant_id: str) -> Control | None:
    """Read the control row and hold it still against cancel and retry."""
    row = await session.row("control.share", run_id, tenant_id)
    return _control(row, tenant_id) if row else None


async def lock(session: Session, run_id: str, *, tenant_id: str | None) -> Control | None:
    """Read the control row for a change; with a tenant, only that tenant's."""
    row = await session.row("control.lock", run_id, tenant_id)
    return _control(row, row["tenant_id"]) if row else None


async def begin(session: Session, fence: Fence) -> DefinitionSnapshot | None:
    """Let the first execution of a run or branch begin; give the run's definition.

    None: it is not the first to speak in this generation, or the run is canceled.
    """
    row = await session.row(
        "control.begin",
        fence.run_id,
        fence.tenant_id,
        fence.generation,
        fence.branch,
        fence.first_execution_run_id,
        fence.temporal_run_id,
    )
    return snapshot(row["definition_snapshot"]) if row else None


async def lock_lineage(session: Session, fence: Fence, *, branch: str) -> Lineage | None:
    """Read a lineage of the fence's run for a change."""
    row = await session.row(
        "control.lock_lineage", fence.run_id, fence.tenant_id, fence.generation, branch
    )
    if row is None:
        return None
    return Lineage(
        row["first_execution_run_id"],
        row["temporal_run_id"],
        tuple(row["earlier_run_ids"]),
        row["epoch"],
    )


async def advance_lineage(session: Session, fence: Fence) -> int:
    """Let the fence's execution speak from now on; give the new epoch."""
    row = await session.row(
        "control.advance_lineage",
        fence.run_id,
        fence.tenant_id,
        fence.generation,
        fence.branch,
        fence.first_execution_run_id,
        fence.temporal_run_id,
    )
    return required(row, "a locked lineage")["epoch"]


async def cancel(
    session: Session, run_id: str, *, tenant_id: str, generation: int, reason: str | None
) -> list[str]:
    """Make a run canceled, and its steps; give their paths. The control row is locked."""
    await session.run("control.request_cancel", run_id, tenant_id)
    await session.run("control.cancel_run", run_id, tenant_id, reason)
    ended = await session.rows("control.cancel_steps", run_id, tenant_id, reason, generation)
    return [row["path"] for row in ended]


async def reopen(session: Session, run_id: str, *, tenant_id: str) -> Control:
    """Give a failed run to its next generation; the control row is locked."""
    row = await session.row("control.next_generation", run_id, tenant_id)
    reopened = _control(required(row, "a locked control row"), tenant_id)
    await session.run("control.reopen_run", run_id, tenant_id, reopened.generation)
    await session.run("control.reopen_steps", run_id, tenant_id, reopened.generation)
    return reopened


def _control(row: Record, tenant_id: str) -> Control:
    return Control(tenant_id, row["generation"], row["task_queue"], row["is_canceled"])
