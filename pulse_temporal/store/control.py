"""Control rows and lineages: who may act on a run. Locked before all else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pulse_temporal.errors import NotUnderstoodError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.store.rows import required
from pulse_temporal.store.sessions import Session
from pulse_temporal.store.snapshots import snapshot

Reopening = Literal["retry", "reset", "restart"]

SOURCES: Mapping[Reopening, str | None] = {
    "retry": None,
    "reset": "temporal",
    "restart": "reconciler",
}
"""Who lets a run go on: the application, an operator in Temporal, or the reconciler."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes: a Temporal execution, for a run or one of its branches.

    Attributes:
        branch: ``""`` for the run itself, else a path such as ``2/b0``.
        temporal_run_id: The execution that writes.
        first_execution_run_id: First of the chain that it belongs to (reset, continue-as-new).
        parent_run_id: The execution that started it, for branches.
        parent_first_run_id: First of that one's chain.
        is_current: Temporal has said that it, and the one that started it, are the newest
            executions of their workflows.
    """

    run_id: str
    tenant_id: str
    generation: int
    branch: str
    temporal_run_id: str
    first_execution_run_id: str
    parent_run_id: str | None
    parent_first_run_id: str | None
    is_current: bool = False

    @property
    def of_parent(self) -> Fence:
        """The fence of the execution that started this branch's."""
        block = self.branch.rpartition("/")[0]
        return replace(
            self,
            branch=block.rpartition("/")[0],
            temporal_run_id=self.parent_run_id or "",
            first_execution_run_id=self.parent_first_run_id or "",
            parent_run_id=None,
            parent_first_run_id=None,
        )


@dataclass(frozen=True, slots=True)
class Control:
    """What the control row says; tenant_id is that of the run.

    Attributes:
        closed_as: Why nobody may act on the run any more; None: it is open, or completed.
    """

    tenant_id: str
    generation: int
    task_queue: str
    closed_as: Literal["canceled", "failed"] | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which executions have spoken for a run or branch in one generation."""

    first_execution_run_id: str
    temporal_run_id: str
    earlier_run_ids: tuple[str, ...]
    epoch: int


async def lock(session: Session, run_id: str, *, tenant_id: str | None) -> Control | None:
    """Read the control row and hold it still; with a tenant, only that tenant's."""
    row = await session.row("control.lock", run_id=run_id, tenant_id=tenant_id)
    if row is None:
        return None
    return Control(row["tenant_id"], row["generation"], row["task_queue"], row["closed_as"])


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
        "control.begin",
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


async def check_dialect(session: Session, fence: Fence) -> None:
    """Do nothing when this release knows what a run needs, or there is no such run.

    Raises:
        NotUnderstoodError: The run is left to processes of a newer release.
    """
    row = await session.row("control.needed", run_id=fence.run_id, tenant_id=fence.tenant_id)
    if row is not None and row["dialect"] > DIALECT:
        raise NotUnderstoodError(
            f"Run {fence.run_id} needs a newer Pulse than this process runs: dialect "
            f"{row['dialect']}, and this one knows {DIALECT}. Update this process."
        )


async def read_lineage(session: Session, fence: Fence) -> Lineage | None:
    """Read the lineage that the fence would belong to; the control row is locked."""
    row = await session.row(
        "control.lineage",
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


async def advance_lineage(session: Session, fence: Fence) -> int:
    """Let the fence's execution speak from now on; return the new epoch."""
    row = await session.row(
        "control.advance_lineage",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        branch=fence.branch,
        first_execution_run_id=fence.first_execution_run_id,
        temporal_run_id=fence.temporal_run_id,
    )
    return required(row, "a lineage")["epoch"]


async def cancel(
    session: Session, run_id: str, *, row: Control, reason: str | None, by: str | None
) -> list[str]:
    """Make a run canceled, and its steps; return their paths. The control row is locked.

    Args:
        session: The transaction that holds the locks.
        run_id: The run.
        row: What the control row says.
        reason: For the run and its timeline.
        by: The person who cancels, for the timeline.
    """
    tenant_id, generation = row.tenant_id, row.generation
    await session.run("control.close", run_id=run_id, tenant_id=tenant_id, closed_as="canceled")
    ended = await session.rows(
        "control.cancel_run",
        run_id=run_id,
        tenant_id=tenant_id,
        reason=reason,
        generation=generation,
        by=by,
    )
    return [row["path"] for row in ended]


async def close_failed(session: Session, run_id: str, *, tenant_id: str) -> None:
    """Let nobody act on a run that has failed; the control row is locked."""
    await session.run("control.close", run_id=run_id, tenant_id=tenant_id, closed_as="failed")


async def reopen(
    session: Session,
    run_id: str,
    *,
    row: Control,
    generation: int,
    why: Reopening,
    by: str | None = None,
) -> Control:
    """Let a run go on where it stands, in this generation; the control and run row are locked.

    Args:
        session: The transaction that holds the locks.
        run_id: The run; it must not be completed or canceled.
        row: What the control row says.
        generation: The run's present one, or the next.
        why: For the timeline.
        by: The person who retries, for the timeline.
    """
    await session.run(
        "control.open", run_id=run_id, tenant_id=row.tenant_id, generation=generation
    )
    await session.run(
        "control.reopen_run", run_id=run_id, tenant_id=row.tenant_id, generation=generation
    )
    await session.run(
        "control.reopen_steps",
        run_id=run_id,
        tenant_id=row.tenant_id,
        generation=generation,
        why=why,
        source=SOURCES[why],
        by=by,
    )
    return replace(row, generation=generation, closed_as=None)
