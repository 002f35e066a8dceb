"""Cancel and retry runs: decided in Postgres, carried to Temporal by the outbox."""

from __future__ import annotations

from pulse_temporal.errors import NotFoundError, RunConflictError, RunTransitionError
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.runs import WorkflowRun, check_run_transition
from pulse_temporal.store import control, outbox, runs
from pulse_temporal.store.database import Database, Session
from pulse_temporal.store.rows import required

REASON_BYTES = 1_000


async def cancel_run(
    database: Database, run_id: str, *, tenant_id: str | None, reason: str | None
) -> WorkflowRun:
    """Cancel a run; see ``Engine.cancel_run``."""
    text = scrub_text(reason, max_bytes=REASON_BYTES) if reason is not None else None
    async with database.transaction() as session:
        row = await control.lock(session, run_id, tenant_id=tenant_id)
        if row is None:
            raise NotFoundError(f"There is no run {run_id}.")
        status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
        check_run_transition(run_id, required(status, "a locked run"), "canceled")
        await _cancel(session, run_id, row=row, reason=text)
        run = await runs.get_run(session, run_id, tenant_id=row.tenant_id)
    return required(run, "a canceled run")


async def retry_run(database: Database, run_id: str, *, tenant_id: str | None) -> WorkflowRun:
    """Retry a failed run from where it failed; see ``Engine.retry_run``."""
    async with database.session() as session:
        seen = await runs.get_run(session, run_id, tenant_id=tenant_id)
    if seen is None:
        raise NotFoundError(f"There is no run {run_id}.")
    if seen.status != "failed":
        raise RunTransitionError(
            f"Run {run_id} is {seen.status!r} and cannot be retried; only failed runs can."
        )
    async with database.transaction() as session:
        row = required(
            await control.lock(session, run_id, tenant_id=tenant_id), "the control row of a run"
        )
        status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
        if row.generation != seen.generation or status != "failed":
            raise RunConflictError(
                f"Run {run_id} was retried by somebody else at the same moment: it is {status!r} "
                f"in generation {row.generation}."
            )
        generation = await control.reopen(session, run_id, tenant_id=row.tenant_id)
        await outbox.put(
            session, "start", tenant_id=row.tenant_id, run_id=run_id, generation=generation
        )
        run = await runs.get_run(session, run_id, tenant_id=row.tenant_id)
    return required(run, "a retried run")


async def record_cancel(database: Database, run_id: str, *, tenant_id: str, reason: str) -> None:
    """Make a cancellation final that came from Temporal; a run that is over stays as it is."""
    text = scrub_text(reason, max_bytes=REASON_BYTES)
    async with database.transaction() as session:
        row = await control.lock(session, run_id, tenant_id=tenant_id)
        if row is None or row.is_canceled:
            return
        status = await runs.lock_run(session, run_id, tenant_id=tenant_id)
        if status in ("pending", "running", "waiting"):
            await _cancel(session, run_id, row=row, reason=text)


async def _cancel(
    session: Session, run_id: str, *, row: control.Control, reason: str | None
) -> None:
    await control.cancel(
        session, run_id, tenant_id=row.tenant_id, generation=row.generation, reason=reason
    )
    await outbox.put(
        session,
        "cancel",
        tenant_id=row.tenant_id,
        run_id=run_id,
        generation=row.generation,
    )
