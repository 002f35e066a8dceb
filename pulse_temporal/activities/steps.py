"""The activity behind every action and condition: claim, call, record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from pulse_temporal import contract
from pulse_temporal.activities.calls import Called, Succeeded, call, heartbeats
from pulse_temporal.activities.fences import speak
from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import AttemptFailure, StepAnswer, StepDone, StepInput
from pulse_temporal.errors import (
    HandlerResultError,
    PostgresUnavailableError,
    PulseError,
    TransactionFailedError,
)
from pulse_temporal.failpoints import reach
from pulse_temporal.handlers.context import LogBook, WorkflowContext
from pulse_temporal.handlers.registry import Action, Condition, Registry
from pulse_temporal.handlers.threads import HandlerThread, HandlerThreads
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.steps import HandlerStep, walk
from pulse_temporal.model.values import JsonObject
from pulse_temporal.services.emit import Emitter
from pulse_temporal.services.ledger import Ledger, Recorded
from pulse_temporal.store.connection import Connection
from pulse_temporal.store.control import Fence
from pulse_temporal.store.database import Database, Session
from pulse_temporal.store.loan import Loan
from pulse_temporal.store.steps import Claimed, FailedAttempt
from pulse_temporal.store.timeline import LogLine

Result = TypeVar("Result")

log = logging.getLogger(__name__)

ROUNDS = 6
FIRST_PAUSE = timedelta(milliseconds=250)
HEARTBEATS_IN_TIMEOUT = 3
LONGEST_SILENCE = timedelta(seconds=1)
"""The answer to a heartbeat tells a handler that its run is canceled, or its worker shut down."""
REASON_BYTES = 1_000
THREAD_PATIENCE = timedelta(seconds=1)
"""There are as many threads as handlers at work: one is missing only where handlers hang."""
AROUND_THE_CALL = timedelta(seconds=10)
"""Heartbeats cover the claim and the record too, and end at Temporal's own backstop."""


@dataclass(frozen=True, slots=True)
class StepActivities:
    """Runs every handler of this process under one dynamic activity.

    Attributes:
        transactions: Connections for transactional actions, so that they starve nobody.
        threads: For handlers that are not async.
    """

    ledger: Ledger
    registry: Registry
    emitter: Emitter
    options: EngineOptions
    clock: Clock
    transactions: Database
    threads: HandlerThreads

    @activity.defn(dynamic=True)
    async def run(self, args: Sequence[RawValue]) -> StepAnswer:
        """Make one delivery of a step; the activity's type is the handler's name.

        Raises:
            ApplicationError: The attempt failed and is on record (``PulseAttemptFailed``, with
                details); or no handler of this name is known here yet.
        """
        step = activity.payload_converter().from_payload(args[0].payload, StepInput)
        recorded = await speak(
            step,
            lambda fence: self._deliver(step, fence),
            patience=self.options.temporal_timeout,
        )
        if isinstance(recorded, AttemptFailure):
            raise ApplicationError(
                recorded.message,
                recorded,
                type=contract.ATTEMPT_FAILED,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        return StepAnswer(recorded)

    async def _deliver(self, step: StepInput, fence: Fence) -> Recorded:
        handler = self.registry.find(step.type, step.handler)
        if handler is None:
            return await self._handler_missing(step, fence)
        if isinstance(handler, Action):
            reason = _reason_to_pass_over(step, handler)
            if reason is not None:
                recorded = await self.ledger.pass_over(fence, step.path, reason=reason)
                await reach("step.after_pass_over")
                return recorded
        if activity.info().is_local:
            return await self._claim_and_make(step, fence, handler)
        every = min(self.options.heartbeat_timeout / HEARTBEATS_IN_TIMEOUT, LONGEST_SILENCE)
        during = timedelta(milliseconds=step.timeout_ms) + AROUND_THE_CALL
        async with heartbeats(every=every, during=during):
            return await self._claim_and_make(step, fence, handler)

    async def _claim_and_make(
        self, step: StepInput, fence: Fence, handler: Action | Condition
    ) -> Recorded:
        """Claim a step and make its delivery.

        A transactional action's connection and a sync handler's thread come first: waiting for
        one must not look like work on the step.
        """
        if isinstance(handler, Action) and handler.transactional:
            async with self.transactions.session() as session:
                return await self._claim_with(step, fence, handler, means=_Means(session=session))
        if handler.is_async:
            return await self._claim_with(step, fence, handler, means=_Means())
        async with self.threads.take(within=THREAD_PATIENCE) as thread:
            if thread is None:
                return await self._threads_taken(step, fence)
            return await self._claim_with(step, fence, handler, means=_Means(thread=thread))

    async def _claim_with(
        self, step: StepInput, fence: Fence, handler: Action | Condition, *, means: _Means
    ) -> Recorded:
        bound = timedelta(milliseconds=step.timeout_ms)
        await reach("step.before_claim")
        claimed = await self.ledger.claim(
            fence, step.path, bound=bound, waited_after=step.waited_after
        )
        if not isinstance(claimed, Claimed):
            return claimed
        await reach("step.after_claim")
        return await _Delivery(self, handler, claimed, bound=bound, means=means).make()

    async def _handler_missing(self, step: StepInput, fence: Fence) -> Recorded:
        return await self._blocked(
            step,
            fence,
            reason=f"No live worker knows the {step.type} {step.handler!r}.",
            error=f"This worker does not know the {step.type} {step.handler!r}; another may.",
            kind=contract.HANDLER_MISSING,
        )

    async def _threads_taken(self, step: StepInput, fence: Fence) -> Recorded:
        reason = (
            f"All {self.threads.size} threads of a worker are held by handlers that have not "
            f"returned, so the {step.type} {step.handler!r} was not called."
        )
        log.warning(
            "no thread is free for a handler that is not async",
            extra={"run_id": fence.run_id, "path": step.path, "threads": self.threads.size},
        )
        return await self._blocked(
            step, fence, reason=reason, error=reason, kind=contract.THREADS_TAKEN
        )

    async def _blocked(
        self, step: StepInput, fence: Fence, *, reason: str, error: str, kind: str
    ) -> Recorded:
        """Say in the run why a step cannot start, and let Temporal deliver it again."""
        recorded = await self.ledger.block(fence, step.path, reason=reason)
        if recorded is not None:
            return recorded
        raise ApplicationError(error, type=kind, category=ApplicationErrorCategory.BENIGN)


@dataclass(frozen=True, slots=True)
class _Means:
    """What a handler is called with: a connection, a thread or neither."""

    session: Session | None = None
    thread: HandlerThread | None = None


class _Delivery:
    """One claimed delivery of one step, from the call to the record."""

    def __init__(
        self,
        home: StepActivities,
        handler: Action | Condition,
        claimed: Claimed,
        *,
        bound: timedelta,
        means: _Means,
    ) -> None:
        self.home = home
        self.handler = handler
        self.claimed = claimed
        self.ticket = claimed.ticket
        self.bound = bound
        self.means = means
        self.emits: Counter[str] = Counter()
        self.connection: Connection | None = None
        step = _step_of(claimed)
        self.policy = step.retry_policy if step else None
        limits = home.options.limits
        self.book = LogBook(home.clock, limits.log_lines, limits.log_data_bytes)
        self.ctx = WorkflowContext(
            run=claimed.run,
            step=claimed.step,
            trigger=claimed.trigger,
            config=_config(claimed, step),
            book=self.book,
            emit=self._emit,
        )

    async def make(self) -> Recorded:
        """Call the handler and record what came of it.

        A delivery that ends without a record is on record as lost: what comes again and again
        must end at a bound. Only a shutdown hands the step on for nothing.
        """
        try:
            if self.means.session is not None:
                return await self._in_transaction(self.means.session)
            return await self._record(await self._call())
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown:
                await self.home.ledger.release(self.claimed)
            raise
        except Exception as error:
            reason = scrub_text(f"Nothing could be recorded: {error}", max_bytes=REASON_BYTES)
            with contextlib.suppress(PulseError):  # then the next claim finds the attempt open
                await self.home.ledger.lose(self.claimed, reason=reason)
            raise

    async def _call(self) -> Called:
        called = await call(
            self.handler,
            self.ctx,
            bound=self.bound,
            limits=self.home.options.limits,
            thread=self.means.thread,
        )
        await reach("step.after_handler")
        return called

    async def _record(self, called: Called) -> Recorded:
        return await _patiently(lambda: self._record_once(called))

    async def _record_once(self, called: Called) -> Recorded:
        ledger = self.home.ledger
        if isinstance(called, FailedAttempt):
            failure = await ledger.fail(
                self.ticket, failed=called, policy=self.policy, logs=self._lines()
            )
            await reach("failure.after_record")
            return failure
        try:
            async with ledger.database.session() as session:
                recorded = await ledger.succeed(
                    session, self.ticket, result=called.result, logs=self._lines()
                )
        except HandlerResultError as error:
            return await self._record_once(_without_room(error))
        if recorded:
            await reach("step.after_record")
            return ledger.succeeded(self.ticket, called.result)
        return await self._refused()

    async def _in_transaction(self, session: Session) -> Recorded:
        """Call a transactional action: its effect and its record commit together."""
        ledger = self.home.ledger
        loan = Loan(session)
        try:
            async with loan.transaction():
                self.connection = session.connection
                self.ctx.lend(session.connection)
                with loan.borrowed():
                    called = await self._call()
                done = await self._succeed_in(session, called)
        except _Undo as undo:
            if undo.failed is None:
                return await self._refused()
            if loan.is_cut and not undo.failed.timed_out:  # the effect is undone, and nobody's
                raise PostgresUnavailableError(
                    f"the handler's connection to Postgres broke ({undo.failed.message})"
                ) from None
            return await self._record(undo.failed)
        except TransactionFailedError as error:
            failed = FailedAttempt(message=f"{type(error).__name__}: {error}", retryable=True)
            return await self._record(failed)
        await reach("transaction.after_commit")
        return ledger.succeeded(self.ticket, done.result)

    async def _succeed_in(self, session: Session, called: Called) -> Succeeded:
        """Record the handler's success in its own transaction, or undo its effect."""
        if isinstance(called, FailedAttempt):
            raise _Undo(called)
        try:
            recorded = await self.home.ledger.succeed(
                session, self.ticket, result=called.result, logs=self._lines()
            )
        except HandlerResultError as error:
            raise _Undo(_without_room(error)) from error
        if not recorded:
            raise _Undo(None)
        await reach("transaction.before_commit")
        return called

    async def _refused(self) -> Recorded:
        """Learn why a success could not be recorded; say so in a canceled run's log."""
        standing = await self.home.ledger.standing(self.ticket.fence, self.ticket.path)
        if not isinstance(standing, StepDone | AttemptFailure) and standing.reason == "canceled":
            await self.home.ledger.note_late_finish(self.claimed)
        return standing

    async def _emit(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        run, trigger = self.claimed.run, self.claimed.trigger
        parsed = self.home.emitter.intake.parse_for(signal, tenant_id=run.tenant_id)
        ordinal = self.emits[parsed.type]
        self.emits[parsed.type] += 1

        async def emit() -> TriggerEnvelope:
            return await self.home.emitter.emit_caused(
                parsed,
                run=run,
                trigger=trigger,
                key=f"chain:{run.id}:{self.ticket.path}:{parsed.type}:{ordinal}",
                connection=self.connection,
            )

        # The key makes repeating harmless; in a transaction, its connection is what is lost.
        return await (emit() if self.connection is not None else _patiently(emit))

    def _lines(self) -> list[LogLine]:
        return [
            LogLine(
                id=new_id("log"),
                level=line.level,
                message=line.message,
                data=line.data,
                at=line.at,
            )
            for line in self.book.lines()
        ]


async def _patiently(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do what may be repeated; Postgres may be away for a moment."""
    for round_ in range(ROUNDS - 1):
        try:
            return await work()
        except PostgresUnavailableError:
            await asyncio.sleep(FIRST_PAUSE.total_seconds() * 2**round_)
    return await work()


class _Undo(Exception):  # noqa: N818 - rolls a transaction back, never leaves this module
    """Undo a transactional action; ``failed`` is None when the ledger refused its record."""

    def __init__(self, failed: FailedAttempt | None) -> None:
        self.failed = failed
        super().__init__()


def _without_room(error: HandlerResultError) -> FailedAttempt:
    return FailedAttempt(message=f"{type(error).__name__}: {error}", retryable=False)


def _reason_to_pass_over(step: StepInput, action: Action) -> str | None:
    if step.scope.is_dry_run:
        return "dry run"
    return "replay" if step.scope.is_replay and not action.replay_safe else None


def _step_of(claimed: Claimed) -> HandlerStep | None:
    for path, step in walk(claimed.run.definition_snapshot.steps):
        if path == claimed.ticket.path and isinstance(step, HandlerStep):
            return step
    return None


def _config(claimed: Claimed, step: HandlerStep | None) -> JsonObject:
    config = claimed.run.definition_snapshot.config
    return config | step.config if step and step.config else config
