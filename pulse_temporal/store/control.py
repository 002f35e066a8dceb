"""Control rows: who may act on a run. Locked before all else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import runs, steps
from pulse_temporal.store.steps import Reopening


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


async def lock(session: Session, run_id: str, *, tenant_id: str | None) -> Control | None:
    """Read the control row and hold it still; with a tenant, only that tenant's."""
    row = await session.row("control.lock", run_id=run_id, tenant_id=tenant_id)
    if row is None:
        return None
    return Control(row["tenant_id"], row["generation"], row["task_queue"], row["closed_as"])


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
    await session.run(
        "control.close", run_id=run_id, tenant_id=row.tenant_id, closed_as="canceled"
    )
    return await runs.cancel(
        session,
        run_id,
        tenant_id=row.tenant_id,
        generation=row.generation,
        reason=reason,
        by=by,
    )


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
    tenant_id = row.tenant_id
    await session.run("control.open", run_id=run_id, tenant_id=tenant_id, generation=generation)
    await runs.reopen(session, run_id, tenant_id=tenant_id, generation=generation)
    await steps.reopen_all(
        session, run_id, tenant_id=tenant_id, generation=generation, why=why, by=by
    )
    return replace(row, generation=generation, closed_as=None)
