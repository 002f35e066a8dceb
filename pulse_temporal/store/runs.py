"""Runs: how they stand, how they end, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulse_temporal.errors import NotUnderstoodError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.model.runs import RUN_TRANSITIONS, RunFilter, RunStatus, WorkflowRun
from pulse_temporal.model.starts import StartableRun
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.places import PAGE_BYTES, KeysetPosition
from pulse_temporal.store.snapshots import shown_snapshot, snapshot


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run, whose it is, and how it stands."""

    run_id: str
    tenant_id: str
    status: RunStatus


async def get_run(session: Session, run_id: str, *, tenant_id: str | None) -> WorkflowRun | None:
    """Read a run; with a tenant, only that tenant's."""
    row = await session.row("runs.get_run", run_id=run_id, tenant_id=tenant_id)
    return rows.run(row) if row else None


async def get_run_as_kept(session: Session, run_id: str, *, tenant_id: str) -> WorkflowRun | None:
    """Read a run without the results of its steps; ``context`` as of the last wait or join."""
    row = await session.row("runs.get_run_as_kept", run_id=run_id, tenant_id=tenant_id)
    return rows.run(row) if row else None


async def list_places(
    session: Session, wanted: RunFilter, *, after: KeysetPosition, limit: int
) -> list[KeysetPosition]:
    """Read where the runs of one page are, newest first.

    The filter decides the statement, and so the index: none of them reads more than a page of
    each status, but for the runs of one signal or resource, which are all read.

    Args:
        session: Any connection.
        wanted: Which runs.
        after: Where the page before has ended.
        limit: Rows.
    """
    until = after.not_before(wanted.created_before)
    span: dict[str, object] = {
        "since": wanted.created_after,
        "before_at": until.at,
        "before_id": until.id,
        "row_limit": limit,
    }
    tenant_id, definition_id = wanted.tenant_id, wanted.definition_id
    of_signal = wanted.trigger_id is not None or wanted.resource_id is not None
    if tenant_id and not (of_signal or definition_id or wanted.statuses):
        return _places(await session.rows("runs.list_tenant", **span, tenant_id=tenant_id))
    statuses = list(dict.fromkeys(wanted.statuses or await _all_statuses(session)))
    if of_signal:
        found = await session.rows(
            "runs.list_signal",
            statuses=statuses,
            **span,
            tenant_id=tenant_id,
            trigger_id=wanted.trigger_id,
            resource_id=wanted.resource_id,
            definition_id=definition_id,
        )
    elif definition_id is not None:
        found = await session.rows(
            "runs.list_definition",
            statuses=statuses,
            **span,
            tenant_id=tenant_id,
            definition_id=definition_id,
        )
    elif tenant_id is None:
        found = await session.rows("runs.list_status", statuses=statuses, **span)
    else:
        found = await session.rows(
            "runs.list_tenant_status", statuses=statuses, **span, tenant_id=tenant_id
        )
    return _places(found)


async def _all_statuses(session: Session) -> list[str]:
    """Return the statuses that this release knows, and those of a newer one that runs have.

    The known ones also where no run has them: one may until the list is read.
    """
    stored = [row["status"] for row in await session.rows("runs.stored_statuses")]
    return [*RUN_TRANSITIONS, *stored]


def _places(found: Sequence[Record]) -> list[KeysetPosition]:
    return [KeysetPosition(row["created_at"], row["id"]) for row in found]


async def read_runs(
    session: Session, run_ids: Sequence[str], *, room: int = PAGE_BYTES
) -> list[WorkflowRun]:
    """Read runs in this order, as many as there is room for and at least one.

    Args:
        session: Any connection.
        run_ids: Which; those that do not exist are left out.
        room: Bytes that their definitions and contexts may have together, as JSON.
    """
    if not run_ids:
        return []
    return [
        rows.run(row) for row in await session.rows("runs.read_runs", run_ids=run_ids, room=room)
    ]


async def get_snapshot(
    session: Session, run_id: str, *, tenant_id: str | None
) -> DefinitionSnapshot | None:
    """Read the definition that a run has frozen; None when there is no such run."""
    row = await session.row("runs.get_snapshot", run_id=run_id, tenant_id=tenant_id)
    return None if row is None else shown_snapshot(row["definition_snapshot"])


async def statuses(session: Session, run_ids: Sequence[str]) -> list[KnownRun]:
    """Read how the runs stand that exist among these ids."""
    found = await session.rows("runs.statuses", run_ids=run_ids)
    return [KnownRun(row["id"], row["tenant_id"], row["status"]) for row in found]


async def check_dialect(session: Session, fence: Fence) -> None:
    """Do nothing when this release knows what a run needs, or there is no such run.

    Raises:
        NotUnderstoodError: The run is left to processes of a newer release.
    """
    row = await session.row("runs.needed", run_id=fence.run_id, tenant_id=fence.tenant_id)
    if row is not None and row["dialect"] > DIALECT:
        raise NotUnderstoodError(
            f"Run {fence.run_id} needs a newer Pulse than this process runs: dialect "
            f"{row['dialect']}, and this one knows {DIALECT}. Update this process."
        )


async def for_start(session: Session, run_id: str, *, tenant_id: str) -> StartableRun | None:
    """Read what is needed to start a run's workflow; None when there is no such run."""
    row = await session.row("runs.for_start", run_id=run_id, tenant_id=tenant_id)
    if row is None:
        return None
    return StartableRun(
        run_id=row["id"],
        tenant_id=row["tenant_id"],
        trigger_id=row["trigger_id"],
        definition_id=row["definition_id"],
        status=row["status"],
        generation=row["generation"],
        snapshot=snapshot(row["definition_snapshot"]),
        is_replay=row["is_replay"],
        is_dry_run=row["is_dry_run"],
    )


async def finish(session: Session, fence: Fence, *, status: RunStatus, error: str | None) -> bool:
    """End a run; False: it is canceled, has ended before, or the fence is superseded."""
    row = await session.row(
        "runs.finish",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        temporal_run_id=fence.temporal_run_id,
        status=status,
        error_message=error,
    )
    return row is not None


async def fail_unstarted(
    session: Session, run_id: str, *, tenant_id: str, generation: int, error: str
) -> bool:
    """Fail a run whose workflow can never start; False when it has begun or ended."""
    row = await session.row(
        "runs.fail_unstarted",
        run_id=run_id,
        tenant_id=tenant_id,
        error_message=error,
        generation=generation,
    )
    return row is not None


async def fail(session: Session, run_id: str, *, tenant_id: str, error: str) -> None:
    """Fail a run from outside; its control and run row are locked."""
    await session.run("runs.fail", run_id=run_id, tenant_id=tenant_id, error_message=error)


async def cancel(
    session: Session,
    run_id: str,
    *,
    tenant_id: str,
    generation: int,
    reason: str | None,
    by: str | None,
) -> list[str]:
    """End a run and its steps as canceled; return their paths. Control and run row are locked."""
    ended = await session.rows(
        "runs.cancel",
        run_id=run_id,
        tenant_id=tenant_id,
        generation=generation,
        reason=reason,
        by=by,
    )
    return [row["path"] for row in ended]


async def reopen(session: Session, run_id: str, *, tenant_id: str, generation: int) -> None:
    """Let a run go on, in a generation; the control and run row are locked."""
    await session.run("runs.reopen", run_id=run_id, tenant_id=tenant_id, generation=generation)


async def reach(session: Session, fence: Fence, path: str) -> None:
    """Note that a step of the root list is active; the run row is locked."""
    if not fence.branch:
        await session.run(
            "runs.reach", run_id=fence.run_id, tenant_id=fence.tenant_id, index=int(path)
        )


async def lock_run(session: Session, run_id: str, *, tenant_id: str) -> RunStatus | None:
    """Read a run's status for a change; the control row is locked already."""
    row = await session.row("runs.lock_run", run_id=run_id, tenant_id=tenant_id)
    return row["status"] if row else None


async def refresh_waiting(session: Session, fence: Fence) -> None:
    """Say whether the run waits; its row is locked by an earlier statement."""
    await session.run("runs.refresh_waiting", run_id=fence.run_id, tenant_id=fence.tenant_id)
