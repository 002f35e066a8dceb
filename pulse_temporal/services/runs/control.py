"""Cancel and retry runs: decided in Postgres, carried to Temporal by the outbox."""

from __future__ import annotations

from pulse_temporal.errors import NotFoundError, PulseError, RunConflictError, RunTransitionError
from pulse_temporal.failpoints import reach
from pulse_temporal.model.acting import named, noted
from pulse_temporal.model.runs import RunStatus, WorkflowRun, check_run_transition
from pulse_temporal.model.values import JsonObject
from pulse_temporal.postgres.sessions import Session, repeats
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import audit, control, outbox, runs, steps
from pulse_temporal.store.database import Database
from pulse_temporal.store.rows import required


class RunControl:
    """Decides about runs; what Temporal must know goes into the outbox.

    Args:
        database: Where the decision is made.
        observers: Told what a cancel ends.
    """

    def __init__(self, database: Database, observers: Observers) -> None:
        self.database = database
        self.observers = observers

    @repeats
    async def cancel(
        self, run_id: str, *, tenant_id: str | None, reason: str | None, by: str | None
    ) -> WorkflowRun:
        """Cancel a run; see ``Engine.cancel_run``."""
        text, person = noted(reason), named(by)
        async with self.database.transaction() as session:
            row = await control.lock(session, run_id, tenant_id=tenant_id)
            if row is None:
                raise await _uncontrolled(session, run_id, tenant_id=tenant_id)
            status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
            check_run_transition(run_id, required(status, "a locked run"), "canceled")
            ended = await cancel_locked(session, run_id, row=row, reason=text, by=person)
            await audit.record(
                session,
                "run.cancel",
                run_id,
                tenant_id=row.tenant_id,
                reason=text,
                detail=_person(by),
            )
            run = await runs.get_run(session, run_id, tenant_id=row.tenant_id)
        await reach("cancel.after_commit")
        # The cancel is final now, whether or not Temporal hears of it soon: no step of this
        # generation is recorded any more.
        self._tell(run_id, tenant_id=row.tenant_id, ended=ended)
        return required(run, "a canceled run")

    @repeats
    async def record_cancel(
        self, run_id: str, *, tenant_id: str, generation: int, reason: str, tell_temporal: bool
    ) -> RunStatus | None:
        """Make a cancellation final that came from Temporal; a run that is over stays so.

        Return the run's status then, or None when another generation acts or the run is not
        there any more.

        Args:
            run_id: The run.
            tenant_id: Its tenant.
            generation: Of the workflow that was canceled; another one's is left alone.
            reason: Why, as Temporal was told.
            tell_temporal: For a run that is canceled already: let Temporal close its workflow.
        """
        text = noted(reason)
        async with self.database.transaction() as session:
            row = await control.lock(session, run_id, tenant_id=tenant_id)
            if row is None or row.generation != generation:
                return None
            # The command of the first cancel is done and gone. A workflow that was reset since
            # would otherwise stay open for ever.
            if row.closed_as == "canceled" and tell_temporal:
                await outbox.put(session, "cancel", run_id=run_id, control=row)
            status = await runs.lock_run(session, run_id, tenant_id=tenant_id)
            if status not in ("pending", "running", "waiting"):
                return status
            ended = await cancel_locked(session, run_id, row=row, reason=text)
        await reach("cancel.after_commit")
        self._tell(run_id, tenant_id=tenant_id, ended=ended)
        return "canceled"

    @repeats
    async def retry(self, run_id: str, *, tenant_id: str | None, by: str | None) -> WorkflowRun:
        """Retry a failed run from where it failed; see ``Engine.retry_run``."""
        async with self.database.session() as session:
            # Read first, without a lock, so that a second retry at the same moment is told from
            # a run that was never failed.
            seen = await runs.get_run(session, run_id, tenant_id=tenant_id)
        if seen is None:
            raise NotFoundError(f"There is no run {run_id}.")
        if seen.status != "failed":
            raise RunTransitionError(
                f"Run {run_id} is {seen.status!r} and cannot be retried; only failed runs can."
            )
        async with self.database.transaction() as session:
            row = await control.lock(session, run_id, tenant_id=tenant_id)
            if row is None:
                raise await _uncontrolled(session, run_id, tenant_id=tenant_id)
            status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
            if row.generation != seen.generation or status != "failed":
                raise RunConflictError(
                    f"Run {run_id} was retried by somebody else at the same moment: "
                    f"it is {status!r} in generation {row.generation}."
                )
            reopened = await control.reopen(
                session,
                run_id,
                row=row,
                generation=row.generation + 1,
                why="retry",
                by=named(by),
            )
            await outbox.put(session, "start", run_id=run_id, control=reopened)
            await audit.record(
                session,
                "run.retry",
                run_id,
                tenant_id=row.tenant_id,
                detail={"generation": row.generation + 1, **_person(by)},
            )
            run = await runs.get_run(session, run_id, tenant_id=row.tenant_id)
            await reach("retry.before_commit")
        await reach("retry.after_commit")
        return required(run, "a retried run")

    async def fail_unstarted(
        self, run_id: str, *, tenant_id: str, generation: int, error: str
    ) -> None:
        """Fail a run whose workflow can never start, unless it has begun, ended or been retried.

        Args:
            run_id: The run.
            tenant_id: Its tenant.
            generation: That could not start.
            error: Why.
        """
        async with self.database.transaction() as session:
            await control.lock(session, run_id, tenant_id=tenant_id)
            failed = await runs.fail_unstarted(
                session, run_id, tenant_id=tenant_id, generation=generation, error=error
            )
            if failed:
                await steps.close_open(
                    session,
                    run_id,
                    tenant_id=tenant_id,
                    generation=generation,
                    reason="the run could not start",
                )
        if failed:
            self.observers.run_ended(run_id, tenant_id=tenant_id)

    def _tell(self, run_id: str, *, tenant_id: str, ended: list[str]) -> None:
        self.observers.steps_ended(run_id, tenant_id=tenant_id, paths=ended)
        self.observers.run_ended(run_id, tenant_id=tenant_id)


def _person(by: str | None) -> JsonObject:
    """Return who was named with the call, beside who acts."""
    return {} if by is None else {"by": noted(by)}


async def _uncontrolled(session: Session, run_id: str, *, tenant_id: str | None) -> PulseError:
    """Return the error for a run that has no control row."""
    if await runs.get_run(session, run_id, tenant_id=tenant_id) is None:
        return NotFoundError(f"There is no run {run_id}.")
    return RunTransitionError(
        f"Run {run_id} was made by the TypeScript Pulse; it can be read, not changed."
    )


async def cancel_locked(
    session: Session,
    run_id: str,
    *,
    row: control.Control,
    reason: str | None,
    by: str | None = None,
) -> list[str]:
    """Cancel under the locks of control and run row; return the paths of the steps it ended."""
    ended = await control.cancel(session, run_id, row=row, reason=reason, by=by)
    await outbox.put(session, "cancel", run_id=run_id, control=row)
    await reach("cancel.before_commit")
    return ended
