"""Cancel and retry runs: decided in Postgres, carried to Temporal by the outbox."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Canceled:
    """A run that was canceled, and the paths of the steps that this has ended."""

    run_id: str
    tenant_id: str
    ended: list[str]


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
        async with self.database.transaction() as session:
            canceled = await cancel_in(
                session, run_id, tenant_id=tenant_id, reason=reason, by=by, detail=_person(by)
            )
            run = await runs.get_run(session, run_id, tenant_id=canceled.tenant_id)
        await reach("cancel.after_commit")
        self.tell(canceled)
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
        self.tell(Canceled(run_id, tenant_id, ended))
        return "canceled"

    @repeats
    async def retry(
        self, run_id: str, *, tenant_id: str | None, reason: str | None, by: str | None
    ) -> WorkflowRun:
        """Retry a failed run from where it failed; see ``Engine.retry_run``."""
        async with self.database.session() as session:
            # Read first, without a lock, so that a second retry at the same moment is told from
            # a run that was never failed.
            seen = await runs.get_run(session, run_id, tenant_id=tenant_id)
        if seen is None:
            raise NotFoundError(f"There is no run {run_id}.")
        _check_failed(run_id, seen.status)
        async with self.database.transaction() as session:
            row = await _locked(session, run_id, tenant_id=tenant_id)
            status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
            if row.generation != seen.generation or status != "failed":
                raise RunConflictError(
                    f"Run {run_id} was retried by somebody else at the same moment: "
                    f"it is {status!r} in generation {row.generation}."
                )
            await _retry_locked(session, run_id, row=row, reason=reason, by=by, detail=_person(by))
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

    def tell(self, canceled: Canceled) -> None:
        """Call the hooks of a cancel that is committed.

        It is final then, whether or not Temporal hears of it soon: no step of this generation is
        recorded any more.
        """
        run_id, tenant_id = canceled.run_id, canceled.tenant_id
        self.observers.steps_ended(run_id, tenant_id=tenant_id, paths=canceled.ended)
        self.observers.run_ended(run_id, tenant_id=tenant_id)


async def cancel_in(
    session: Session,
    run_id: str,
    *,
    tenant_id: str | None,
    reason: str | None,
    by: str | None = None,
    detail: JsonObject | None = None,
) -> Canceled:
    """Cancel a run in a transaction; its end is to be told when that is committed.

    Args:
        session: In the transaction.
        run_id: The run.
        tenant_id: Narrows to one tenant.
        reason: For the run, its timeline and the audit.
        by: The person who cancels, for the timeline; None: who acts.
        detail: For the audit.

    Raises:
        NotFoundError: There is no such run.
        RunTransitionError: The run is over.
    """
    text = noted(reason)
    row = await _locked(session, run_id, tenant_id=tenant_id)
    status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
    check_run_transition(run_id, required(status, "a locked run"), "canceled")
    ended = await cancel_locked(session, run_id, row=row, reason=text, by=named(by))
    await audit.record(
        session, "run.cancel", run_id, tenant_id=row.tenant_id, reason=text, detail=detail
    )
    return Canceled(run_id, row.tenant_id, ended)


async def retry_in(
    session: Session,
    run_id: str,
    *,
    tenant_id: str | None,
    reason: str | None,
    detail: JsonObject,
) -> int:
    """Retry a failed run in a transaction; return the generation that goes on.

    Args:
        session: In the transaction.
        run_id: The run.
        tenant_id: Narrows to one tenant.
        reason: For the audit.
        detail: For the audit.

    Raises:
        NotFoundError: There is no such run.
        RunTransitionError: The run has not failed.
    """
    row = await _locked(session, run_id, tenant_id=tenant_id)
    status = await runs.lock_run(session, run_id, tenant_id=row.tenant_id)
    _check_failed(run_id, required(status, "a locked run"))
    return await _retry_locked(session, run_id, row=row, reason=reason, by=None, detail=detail)


async def _retry_locked(
    session: Session,
    run_id: str,
    *,
    row: control.Control,
    reason: str | None,
    by: str | None,
    detail: JsonObject,
) -> int:
    """Retry under the locks of control and run row; return the new generation."""
    generation = row.generation + 1
    reopened = await control.reopen(
        session, run_id, row=row, generation=generation, why="retry", by=named(by)
    )
    await outbox.put(session, "start", run_id=run_id, control=reopened)
    await audit.record(
        session,
        "run.retry",
        run_id,
        tenant_id=row.tenant_id,
        reason=reason,
        detail={"generation": generation, **detail},
    )
    return generation


def _check_failed(run_id: str, status: str) -> None:
    if status != "failed":
        raise RunTransitionError(
            f"Run {run_id} is {status!r} and cannot be retried; only failed runs can."
        )


async def _locked(session: Session, run_id: str, *, tenant_id: str | None) -> control.Control:
    row = await control.lock(session, run_id, tenant_id=tenant_id)
    if row is None:
        raise await _uncontrolled(session, run_id, tenant_id=tenant_id)
    return row


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
