"""The activity behind every action and condition: claim, call, record."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from pulse_temporal import contract
from pulse_temporal.activities.calls import Called, Succeeded, call, heartbeats
from pulse_temporal.activities.fences import fence_of
from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import AttemptFailure, StepAnswer, StepDone, StepInput
from pulse_temporal.errors import PostgresUnavailableError, PulseError, TransactionFailedError
from pulse_temporal.failpoints import reach
from pulse_temporal.handlers.context import LogBook, WorkflowContext
from pulse_temporal.handlers.registry import Action, Condition, Registry
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.steps import HandlerStep, walk
from pulse_temporal.model.values import JsonObject
from pulse_temporal.services.emit import Emitter
from pulse_temporal.services.ledger import Ledger, Recorded
from pulse_temporal.store.connection import Connection
from pulse_temporal.store.control import Fence
from pulse_temporal.store.database import Database, Session, transact
from pulse_temporal.store.steps import Claimed, FailedAttempt
from pulse_temporal.store.timeline import LogLine

Result = TypeVar("Result")

ROUNDS = 6
FIRST_PAUSE = timedelta(milliseconds=250)
HEARTBEATS_IN_TIMEOUT = 3
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
    threads: Executor

    @activity.defn(dynamic=True)
    async def run(self, args: Sequence[RawValue]) -> StepAnswer:
        """Make one delivery of a step; the activity's type is the handler's name.

        Raises:
            ApplicationError: The attempt failed and is on record (``PulseAttemptFailed``, with
                details); or no handler of this name is known here yet.
        """
        step = activity.payload_converter().from_payload(args[0].payload, StepInput)
        recorded = await self._deliver(step, fence_of(step))
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
            return await self._blocked(step, fence)
        if isinstance(handler, Action):
            reason = _reason_to_pass_over(step, handler)
            if reason is not None:
                recorded = await self.ledger.pass_over(fence, step.path, reason=reason)
                await reach("step.after_pass_over")
                return recorded
        if activity.info().is_local:
            return await self._claim_and_make(step, fence, handler)
        every = self.options.heartbeat_timeout / HEARTBEATS_IN_TIMEOUT
        during = timedelta(milliseconds=step.timeout_ms) + AROUND_THE_CALL
        async with heartbeats(every=every, during=during):
            return await self._claim_and_make(step, fence, handler)

    async def _claim_and_make(
        self, step: StepInput, fence: Fence, handler: Action | Condition
    ) -> Recorded:
        """Claim a step and make its delivery.

        A transactional action's connection comes first: waiting for one must not look like
        work on the step.
        """
        if not isinstance(handler, Action) or not handler.transactional:
            return await self._claim_with(step, fence, handler, session=None)
        async with self.transactions.session() as session:
            return await self._claim_with(step, fence, handler, session=session)

    async def _claim_with(
        self,
        step: StepInput,
        fence: Fence,
        handler: Action | Condition,
        *,
        session: Session | None,
    ) -> Recorded:
        bound = timedelta(milliseconds=step.timeout_ms)
        await reach("step.before_claim")
        claimed = await self.ledger.claim(
            fence, step.path, bound=bound, waited_after=step.waited_after
        )
        if not isinstance(claimed, Claimed):
            return claimed
        await reach("step.after_claim")
        return await _Delivery(self, handler, claimed, bound=bound).make(session)

    async def _blocked(self, step: StepInput, fence: Fence) -> Recorded:
        reason = f"No live worker knows the {step.type} {step.handler!r}."
        recorded = await self.ledger.block(fence, step.path, reason=reason)
        if recorded is not None:
            return recorded
        raise ApplicationError(
            f"This worker does not know the {step.type} {step.handler!r}; another may.",
            type=contract.HANDLER_MISSING,
            category=ApplicationErrorCategory.BENIGN,
        )


class _Delivery:
    """One claimed delivery of one step, from the call to the record."""

    def __init__(
        self,
        home: StepActivities,
        handler: Action | Condition,
        claimed: Claimed,
        *,
        bound: timedelta,
    ) -> None:
        self.home = home
        self.handler = handler
        self.claimed = claimed
        self.ticket = claimed.ticket
        self.bound = bound
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

    async def make(self, session: Session | None) -> Recorded:
        """Call the handler and record what came of it.

        Args:
            session: The connection of a transactional action.
        """
        try:
            if session is not None:
                return await self._in_transaction(session)
            return await self._record(await self._call())
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown:
                await self.home.ledger.release(self.claimed)
            raise
        except PulseError:  # this delivery ends without a record, and no worker was lost
            with contextlib.suppress(PulseError):
                await self.home.ledger.release(self.claimed)
            raise

    async def _call(self) -> Called:
        called = await call(
            self.handler,
            self.ctx,
            bound=self.bound,
            limits=self.home.options.limits,
            threads=self.home.threads,
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
        async with ledger.database.session() as session:
            recorded = await ledger.succeed(
                session, self.ticket, result=called.result, logs=self._lines()
            )
        if recorded:
            await reach("step.after_record")
            return ledger.succeeded(self.ticket, called.result)
        return await self._refused()

    async def _in_transaction(self, session: Session) -> Recorded:
        """Call a transactional action: its effect and its record commit together."""
        ledger = self.home.ledger
        try:
            async with transact(session):
                self.connection = session.connection
                self.ctx.lend(session.connection)
                called = await self._succeed_in(session)
        except _Undo as undo:
            return await self._record(undo.failed) if undo.failed else await self._refused()
        except TransactionFailedError as error:
            failed = FailedAttempt(message=f"{type(error).__name__}: {error}", retryable=True)
            return await self._record(failed)
        await reach("transaction.after_commit")
        return ledger.succeeded(self.ticket, called.result)

    async def _succeed_in(self, session: Session) -> Succeeded:
        """Call the handler and record its success, or undo both."""
        called = await self._call()
        if isinstance(called, FailedAttempt):
            raise _Undo(called)
        recorded = await self.home.ledger.succeed(
            session, self.ticket, result=called.result, logs=self._lines()
        )
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
