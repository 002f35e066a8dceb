"""Lineages: which executions have written for a run or a branch, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.rows import required
from pulse_temporal.store.runs import check_dialect
from pulse_temporal.store.snapshots import snapshot


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which executions have spoken for a run or branch in one generation."""

    first_execution_run_id: str
    temporal_run_id: str
    earlier_run_ids: tuple[str, ...]
    epoch: int


async def begin(session: Session, fence: Fence) -> DefinitionSnapshot | None:
    """Let the first execution of a run or branch begin; give the run's definition.

    None: it is not the first to speak in this generation, or the run is canceled.

    Args:
        session: A transaction, which ends without a change when the definition cannot be read.
        fence: The execution that begins.

    Raises:
        NotUnderstoodError: The run needs a newer release.
    """
    row = await session.row(
        "lineages.begin",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        branch=fence.branch,
        first_execution_run_id=fence.first_execution_run_id,
        temporal_run_id=fence.temporal_run_id,
        dialect=DIALECT,
    )
    if row is None:
        await check_dialect(session, fence)
        return None
    return snapshot(row["definition_snapshot"])


async def read(session: Session, fence: Fence) -> Lineage | None:
    """Read the lineage that the fence would belong to; the control row is locked."""
    row = await session.row(
        "lineages.read",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        branch=fence.branch,
    )
    if row is None:
        return None
    return Lineage(
        row["first_execution_run_id"],
        row["temporal_run_id"],
        tuple(row["earlier_run_ids"]),
        row["epoch"],
    )


async def advance(session: Session, fence: Fence) -> int:
    """Let the fence's execution speak from now on; return the new epoch."""
    row = await session.row(
        "lineages.advance",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        branch=fence.branch,
        first_execution_run_id=fence.first_execution_run_id,
        temporal_run_id=fence.temporal_run_id,
    )
    return required(row, "a lineage")["epoch"]
