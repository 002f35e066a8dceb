"""One claimed delivery of a step: call its handler, and record what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pulse_temporal.activities.calls import Called, call, see_through, subject_of
from pulse_temporal.activities.emits import HandlerEmits
from pulse_temporal.activities.failures import failed_by
from pulse_temporal.activities.handover import Handover
from pulse_temporal.activities.patience import patiently
from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import AttemptFailure, StepDone, StepInput
from pulse_temporal.errors import (
    HandlerResultError,
    PostgresUnavailableError,
    PulseError,
    TransactionEndedError,
    TransactionFailedError,
)
from pulse_temporal.failpoints import reach
from pulse_temporal.handlers.context import ContextControl, LentRun, LogBook, WorkflowContext
from pulse_temporal.handlers.logs import attempt_failed, attempt_lost, step_failed
from pulse_temporal.handlers.middleware import Middleware
from pulse_temporal.handlers.registry import Action, Condition
from pulse_temporal.handlers.threads import HandlerThread
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.steps import HandlerStep, walk
from pulse_temporal.model.values import JsonObject, copied
from pulse_temporal.postgres.borrowed_transaction import BorrowedTransaction, ended
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.runs.ledger import Ledger, Recorded
from pulse_temporal.services.runs.watchdog import Watchdog
from pulse_temporal.services.signals.chaining import StepEmits
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.store.attempts import FailedAttempt, Succeeded
from pulse_temporal.store.claims import Claimed, ClaimRef

REASON_BYTES = 1_000
GIVEN_UP = "Temporal gave this delivery up before it was done; the step is delivered again."


@dataclass(frozen=True, slots=True)
class StepServices:
    """What all deliveries of a worker share.

    Attributes:
        ledger: Records.
        emitter: Of ``ctx.emit``.
        options: Bounds.
        clock: Of ``ctx.log`` lines.
        watchdog: Knows of deliveries that are at work.
        handover: Cuts them off when the worker's grace is over.
        middleware: Runs round every call of a handler.
    """

    ledger: Ledger
    emitter: Emitter
    options: EngineOptions
    clock: Clock
    watchdog: Watchdog
    handover: Handover
    middleware: Sequence[Middleware]


class Delivery:
    """One claimed delivery of one step, from the call to the record.

    Args:
        services: What all deliveries share.
        handler: To be called.
        claimed: The step, with all that the handler needs.
        step: What the workflow has asked for.
        session: Of the connection that a transactional action works on.
        thread: In which a handler is called that is not async.
    """

    def __init__(
        self,
        services: StepServices,
        handler: Action | Condition,
        claimed: Claimed,
        *,
        step: StepInput,
        session: Session | None = None,
        thread: HandlerThread | None = None,
    ) -> None:
        self.services = services
        self.handler = handler
        self.claimed = claimed
        self.claim_ref: ClaimRef = claimed.claim_ref
        self.subject = subject_of(handler, claimed.step)
        self.timeout: timedelta = timedelta(milliseconds=step.tried_for_ms or step.timeout_ms)
        self.is_trial: bool = step.tried_for_ms > 0
        self.ends: bool = step.ends
        self.session = session
        self.thread = thread
        emits = StepEmits(
            services.emitter, run=claimed.run, trigger=claimed.trigger, path=self.claim_ref.path
        )
        self.emits: HandlerEmits = HandlerEmits(emits, timeout=self.timeout)
        defined = _step_of(claimed)
        self.policy = defined.retry_policy if defined else None
        limits = services.options.limits
        self.book: LogBook = LogBook(services.clock, limits.log_lines, limits.log_data_bytes)
        self.control: ContextControl = ContextControl(self.emits.emit)
        self.ctx: WorkflowContext = WorkflowContext(
            run=LentRun(claimed.run.is_replay, claimed.run.read),
            step=claimed.step,
            trigger=claimed.trigger,
            config=_config(claimed, defined),
            book=self.book,
            control=self.control,
        )

    async def make(self) -> Recorded:
        """Call the handler and record what came of it, watched."""
        with self.services.watchdog.watch(
            self.claimed.step.id, self.claim_ref.claim, self.subject
        ) as self.at_work:
            return await self._make()

    async def _make(self) -> Recorded:
        """Call the handler and record what came of it.

        A delivery that ends without a record is on record as lost: what comes again and again
        must end at a bound. Only a shutdown hands the step on for nothing.
        """
        try:
            if self.session is not None:
                work = self._in_transaction(self.session)
                return await see_through(work, self.at_work)
            called = await self._call()
            # A trial that was too slow is no timeout of the handler: it gets its whole time in
            # another delivery.
            if self.is_trial and isinstance(called, FailedAttempt) and called.timed_out:
                return await self._give_back()
            # Before the record: a success whose signals Postgres did not take would lose them.
            self.emits.check()
            recording = self._record(called)
            held = self.at_work.is_held
            return await (see_through(recording, self.at_work) if held else recording)
        except asyncio.CancelledError:
            # Not where the handler held the event loop, so that no heartbeat was sent: that is
            # its own doing, and whoever comes next settles it as a timeout.
            if not self.at_work.blocked_for:
                await hand_back(self.services, self.claimed)
            raise
        except Exception as error:
            reason = scrub_text(f"Nothing could be recorded: {error}", max_bytes=REASON_BYTES)
            subject = self.subject
            attempt_lost(subject, message=reason, error=error)
            with contextlib.suppress(PulseError):  # then the next claim finds the attempt open
                await self.services.ledger.lose(self.claimed, reason=reason)
            raise
        finally:
            self.emits.close()

    async def _call(self) -> Called:
        called = await call(
            self.handler,
            self.ctx,
            middleware=self.services.middleware,
            control=self.control,
            timeout=self.timeout,
            limits=self.services.options.limits,
            thread=self.thread,
            at_work=self.at_work,
        )
        await reach("step.after_handler")
        return called

    async def _give_back(self) -> StepDone:
        lines = self.book.lines()
        await patiently(lambda: self.services.ledger.give_back(self.claimed, logs=lines))
        return StepDone(deferred=True)

    async def _record(self, called: Called) -> Recorded:
        if isinstance(called, FailedAttempt):
            return await self._fail(called)
        try:
            return await patiently(lambda: self._succeed_alone(called))
        except HandlerResultError as error:
            return await self._fail(_without_room(error))

    async def _succeed_alone(self, called: Succeeded) -> Recorded:
        ledger = self.services.ledger
        if self.ends:
            await reach("finish_run.before_write")
        async with ledger.database.session() as session:
            done = await self._succeed(session, called)
        if done is None:  # a cancel, a retry or a newer claim came first
            return await self._refused()
        await reach("step.after_record")
        if done.ended:
            await reach("finish_run.after_write")
        return ledger.succeeded(self.claim_ref, done)

    async def _fail(self, failed: FailedAttempt) -> Recorded:
        """Record a failed attempt, and tell the log of it, and of a step that has failed by it."""
        step, subject = self.claimed.step, self.subject
        message, granted = failed.message, step.max_attempts
        attempt_failed(subject, max_attempts=granted, message=message, error=failed.error)
        recorded = await patiently(lambda: self._fail_once(failed))
        if isinstance(recorded, AttemptFailure) and recorded.retry_in_ms is None:
            step_failed(subject, message=message, error=failed.error)
        return recorded

    async def _fail_once(self, failed: FailedAttempt) -> Recorded:
        failure = await self.services.ledger.fail(
            self.claim_ref, failed=failed, policy=self.policy, logs=self.book.lines()
        )
        await reach("failure.after_record")
        return failure

    async def _succeed(
        self, session: Session, called: Succeeded, *, mark: str | None = None
    ) -> StepDone | None:
        claim_ref = replace(self.claim_ref, mark=mark)
        return await self.services.ledger.succeed(
            session, claim_ref, succeeded=called, logs=self.book.lines(), ends=self.ends
        )

    async def _in_transaction(self, session: Session) -> Recorded:
        """Call a transactional action: its effect and its record commit together."""
        # Whatever goes wrong inside is raised, because only an exception undoes the transaction;
        # what it means is decided outside of it, where there is a connection to record it on.
        borrowed = BorrowedTransaction(session)
        try:
            async with borrowed.open():
                called = await self._call_with(borrowed, session)
                if not borrowed.is_ended:
                    self.emits.check()
                done = await self._succeed_in(borrowed, session, called)
        except _Undo as undo:
            if undo.failed is None:
                return await self._refused()
            return await self._undone(borrowed, undo.failed)
        except TransactionEndedError as error:
            return await self._record(_not_undone(error))
        except TransactionFailedError as error:
            failed = failed_by(error, max_bytes=self.services.options.limits.error_bytes)
            return await self._undone(borrowed, failed)
        await reach("transaction.after_commit")
        return self.services.ledger.succeeded(self.claim_ref, done)

    async def _call_with(self, borrowed: BorrowedTransaction, session: Session) -> Called:
        self.emits.connection = session.connection
        self.control.lend(session.connection)
        try:
            with borrowed.in_use():
                called = await self._call()
        finally:
            self.control.take_back()
        failed = called if isinstance(called, FailedAttempt) else None
        # Who is to blame is found out while the transaction is still there to be looked at.
        # One that was out of time was canceled, which may close the connection on its part.
        if failed is None or not failed.timed_out:
            for error in (failed.error if failed else None, self.emits.trouble):
                borrowed.hear(error)
        if failed or self.emits.is_troubled:
            await borrowed.look()
        if borrowed.is_ended or (failed and failed.timed_out):
            # The handler may go on. What it sends behind a rollback would commit by itself.
            borrowed.throw_away()
        return called

    async def _succeed_in(
        self, borrowed: BorrowedTransaction, session: Session, called: Called
    ) -> StepDone:
        """Record the handler's success in its own transaction, or undo its effect."""
        if isinstance(called, FailedAttempt):
            raise _Undo(called)
        if borrowed.is_ended:
            raise ended()
        borrowed.check_open()
        try:
            done = await self._succeed(session, called, mark=borrowed.mark)
        except HandlerResultError as error:
            raise _Undo(_without_room(error)) from error
        if done is None:
            # Refused. Or the handler has ended the transaction and begun another, which has no
            # mark: then its effect may have stayed, and that is what has to be told.
            await borrowed.check()
            raise _Undo(None)
        await reach("transaction.before_commit")
        return done

    async def _undone(self, borrowed: BorrowedTransaction, failed: FailedAttempt) -> Recorded:
        """Record a failed attempt, when its transaction was not cut by somebody else.

        Raises:
            PostgresUnavailableError: The connection was cut, or an operator has canceled its
                statement, so that the attempt does not count.
        """
        if borrowed.is_ended:
            failed = _not_undone(ended(), failed)
        elif borrowed.is_cut:
            raise PostgresUnavailableError(
                f"Postgres ended the handler's transaction ({failed.message})"
            )
        return await self._record(failed)

    async def _refused(self) -> Recorded:
        """Learn why a success could not be recorded; say so in a canceled run's log."""
        standing = await self.services.ledger.standing(self.claim_ref.fence, self.claim_ref.path)
        if not isinstance(standing, StepDone | AttemptFailure) and standing.reason == "canceled":
            await self.services.ledger.note_late_finish(self.claimed)
        return standing


class _Undo(Exception):  # noqa: N818 - rolls a transaction back, never leaves this module
    """Undo a transactional action; ``failed`` is None when the ledger refused its record."""

    def __init__(self, failed: FailedAttempt | None) -> None:
        self.failed = failed
        super().__init__()


def _not_undone(
    error: TransactionEndedError, failed: FailedAttempt | None = None
) -> FailedAttempt:
    """Describe an attempt whose effect may have stayed: a second one could have it twice."""
    text = f"{type(error).__name__}: {error}"
    if failed is None:
        return FailedAttempt(message=text, retryable=False, error=error)
    return replace(failed, message=f"{text} ({failed.message})", retryable=False, timed_out=False)


def _without_room(error: HandlerResultError) -> FailedAttempt:
    return FailedAttempt(message=f"{type(error).__name__}: {error}", retryable=False, error=error)


async def hand_back(services: StepServices, claimed: Claimed) -> None:
    """Close an attempt whose delivery is cut off; it costs no attempt.

    Either the grace of a stopping worker is over, or Temporal has given the delivery up: a worker
    that was frozen has lost the workflow of its short step. Left open, the attempt would be taken
    for one of a handler that let its deadline pass, as this worker lives.
    """
    ledger = services.ledger
    with contextlib.suppress(PulseError):  # then the next claim finds the attempt open
        if services.handover.is_cut:
            await ledger.release(claimed)
        else:
            await ledger.lose(claimed, reason=GIVEN_UP)


def _step_of(claimed: Claimed) -> HandlerStep | None:
    for path, step in walk(claimed.definition.steps):
        if path == claimed.claim_ref.path and isinstance(step, HandlerStep):
            return step
    return None


def _config(claimed: Claimed, step: HandlerStep | None) -> JsonObject:
    """Return the handler's config: a copy, which it may change."""
    config = claimed.definition.config
    return copied(config | step.config if step and step.config else config)
