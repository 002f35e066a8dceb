"""The activity behind every action and condition: claim, call, record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from pulse_temporal import contract
from pulse_temporal.activities.calls import heartbeats
from pulse_temporal.activities.delivery import Delivery, StepServices, hand_back
from pulse_temporal.activities.fences import as_execution
from pulse_temporal.activities.patience import doubting
from pulse_temporal.activities.strangers import Strangers
from pulse_temporal.activities.trials import LocalTrials
from pulse_temporal.contract import AttemptFailure, Refusal, StepAnswer, StepDone, StepInput
from pulse_temporal.errors import NotUnderstoodError, PulseError
from pulse_temporal.failpoints import reach
from pulse_temporal.handlers.registry import Action, Condition, Registry
from pulse_temporal.handlers.threads import HandlerThread, HandlerThreads
from pulse_temporal.notices import Repeats
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.runs.ledger import Recorded
from pulse_temporal.services.runs.mirror import Mirror
from pulse_temporal.store.claims import Claimed
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence

Answer = TypeVar("Answer")

log: logging.Logger = logging.getLogger(__name__)

HEARTBEATS_IN_TIMEOUT = 3
LONGEST_SILENCE = timedelta(seconds=1)
"""The answer to a heartbeat tells a handler that its run is canceled, or its worker shut down."""
THREAD_TIMEOUT = timedelta(seconds=1)
"""There are as many threads as handlers at work: one is missing only where handlers hang."""
AROUND_THE_CALL = timedelta(seconds=10)
"""Heartbeats cover the claim and the record too, and end at Temporal's own backstop."""

UNKNOWN_HERE = (
    "This worker does not know the %(type)s %(handler)r, for which the step at path %(path)s of"
    " run %(run_id)s, tenant %(tenant_id)s, waits. Register it here, or start a worker that knows"
    " it: the step is tried again until one does, or fails after %(until)s. Known here: %(known)s."
)
TOO_NEW = (
    "This worker's release does not understand the step at path %(path)s of run %(run_id)s, tenant"
    " %(tenant_id)s, for the %(type)s %(handler)r. Start a worker of the newer release: %(error)s"
)
NO_THREAD = (
    "All %(threads)d threads of this worker are held by handlers that have not returned. The step"
    " at path %(path)s of run %(run_id)s, tenant %(tenant_id)s, waits for one, for the %(type)s"
    " %(handler)r. Bound what those handlers wait for, or register them as 'async def'."
)


@dataclass(frozen=True, slots=True)
class StepActivities:
    """Runs every handler of this process under one dynamic activity.

    Attributes:
        services: Shared by all deliveries.
        mirror: Begins lists and ends runs along with a step.
        registry: The handlers that are known here.
        transactions: Connections for transactional actions, so that they starve nobody.
        threads: For handlers that are not async.
        trials: Which conditions may be tried although they do not say that they are short.
        doubt: Called when Postgres has failed a delivery.
        strangers: Tells the steps of other databases, which are left alone.
        repeats: Lets each reason why steps cannot start here be told ever more rarely.
    """

    services: StepServices
    mirror: Mirror
    registry: Registry
    transactions: Database
    threads: HandlerThreads
    trials: LocalTrials
    doubt: Callable[[], None]
    strangers: Strangers
    repeats: Repeats = field(default_factory=Repeats)

    @activity.defn(dynamic=True)
    async def run(self, args: Sequence[RawValue]) -> StepAnswer:
        """Make one delivery of a step; the activity's type is the handler's name.

        Raises:
            ApplicationError: The attempt failed and is on record (``PulseAttemptFailed``, with
                details); or no handler of this name is known here yet.
        """
        step = activity.payload_converter().from_payload(args[0].payload, StepInput)
        self.strangers.check(step.scope)
        # A short step, which is a local activity, always runs to its end.
        is_local = activity.info().is_local
        covered = nullcontext() if is_local else self.services.handover.covering()
        with covered, doubting(self.doubt):
            recorded = await as_execution(
                step,
                lambda fence: self._answer(step, fence),
                timeout=self.services.options.temporal_timeout,
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

    async def _answer(self, step: StepInput, fence: Fence) -> Recorded:
        """Deliver a step; complete the run when it is the last one, and on record."""
        try:
            recorded = await self._deliver(step, fence)
        except NotUnderstoodError as error:
            return await self._not_understood(step, fence, error)
        if not step.ends or not isinstance(recorded, StepDone):
            return recorded
        if recorded.ended or recorded.deferred:
            return recorded
        # The result was recorded by an earlier delivery, or without a call.
        written = await self.mirror.finish_run(fence, error=None)
        if isinstance(written, Refusal):
            return written
        return recorded.model_copy(update={"ended": True})

    async def _deliver(self, step: StepInput, fence: Fence) -> Recorded:
        """Do what is right for this delivery; the first row that fits counts.

        | the step | what is done |
        |---|---|
        | opens its list, and cannot be called in the same delivery | the list is begun |
        | has a handler that is not known here | it is blocked |
        | is an action of a dry run, or of a replay and not safe to repeat | it is passed over |
        | does not say how long it takes | it is tried for a moment |
        | is short | it is claimed and called |
        | any other | the same, with heartbeats |
        """
        handler = self.registry.find(step.type, step.handler)
        is_local = activity.info().is_local
        if step.begins is not None and not self._may_begin_with(step, handler, is_local=is_local):
            return await self._begin(fence)
        if handler is None:
            return await self._handler_missing(step, fence)
        if isinstance(handler, Action):
            reason = _reason_to_pass_over(step, handler)
            if reason is not None:
                recorded = await self.services.ledger.pass_over(fence, step.path, reason=reason)
                await reach("step.after_pass_over")
                return recorded
        if step.tried_for_ms:
            return await self._try(step, fence, handler)
        if is_local:
            return await self._claim_and_make(step, fence, handler)
        if step.was_lost or activity.info().attempt > 1:
            # Where a lock on the signals' table was why, claims would go on and lose one
            # delivery after the other, up to max_lost_workers.
            await self.services.emitter.await_storage()
        every = min(
            self.services.options.heartbeat_timeout / HEARTBEATS_IN_TIMEOUT, LONGEST_SILENCE
        )
        during = timedelta(milliseconds=step.timeout_ms) + AROUND_THE_CALL
        async with heartbeats(every=every, during=during):
            return await self._claim_and_make(step, fence, handler)

    def _may_begin_with(
        self, step: StepInput, handler: Action | Condition | None, *, is_local: bool
    ) -> bool:
        """Return whether a step can be called in the delivery that begins its list."""
        # The timeouts in the step were computed from the options of the process that started the
        # run; a worker with other ones must compute them anew.
        if handler is None or step.begins != self.mirror.terms:
            return False
        return handler.may_be_local or not is_local

    async def _try(self, step: StepInput, fence: Fence, handler: Action | Condition) -> Recorded:
        """Make a delivery that may take a moment only, or leave it to the task queue."""
        # Few at a time: a trial holds one of the slots that short steps need.
        with self.trials.take(handler) as is_admitted:
            if is_admitted:
                return await self._claim_and_make(step, fence, handler)
        return StepDone(deferred=True) if step.begins is None else await self._begin(fence)

    async def _claim_and_make(
        self, step: StepInput, fence: Fence, handler: Action | Condition
    ) -> Recorded:
        """Claim a step and make its delivery.

        A transactional action's connection and a sync handler's thread come first: waiting for
        one must not look like work on the step.
        """
        if isinstance(handler, Action) and handler.transactional:
            if self.transactions.lent_size == 1:  # registered after the start, which refuses it
                return await self._pool_too_small(step, fence)
            async with self.transactions.session(to_others=True) as session:
                return await self._claim_with(step, fence, handler, session=session)
        if handler.is_async:
            return await self._claim_with(step, fence, handler)
        async with self.threads.take(timeout=THREAD_TIMEOUT) as thread:
            if thread is None:  # not claimed, so another worker may take it
                taken = self._begin(fence) if step.begins else self._threads_taken(step, fence)
                return await taken
            return await self._claim_with(step, fence, handler, thread=thread)

    async def _claim_with(
        self,
        step: StepInput,
        fence: Fence,
        handler: Action | Condition,
        *,
        session: Session | None = None,
        thread: HandlerThread | None = None,
    ) -> Recorded:
        timeout = timedelta(milliseconds=step.timeout_ms)
        # From the claim on, the ledger waits for this delivery until its deadline, or until its
        # worker is seen to be gone. What can fail without the handler has to come before.
        if step.begins:
            await reach("begin.before_write")
        await reach("step.before_claim")
        if step.begins:
            opening = self.services.ledger.open(fence, step.path, timeout=timeout)
            claimed = await self._unless_cut(opening)
            if claimed is None:
                return await self._begin(fence)
            await reach("begin.after_write")
        else:
            claiming = self.services.ledger.claim(
                fence, step.path, timeout=timeout, waited_after=step.waited_after
            )
            claimed = await self._unless_cut(claiming)
        if not isinstance(claimed, Claimed):
            return claimed
        await reach("step.after_claim")
        delivery = Delivery(
            self.services, handler, claimed, step=step, session=session, thread=thread
        )
        recorded = await delivery.make()
        if isinstance(recorded, StepDone) and recorded.deferred:
            self.trials.note_slow(handler)
        if not step.begins or not isinstance(recorded, StepDone):
            return recorded
        beginning = self.mirror.beginning(claimed.definition, fence)
        return recorded.model_copy(update={"beginning": beginning})

    async def _unless_cut(self, claiming: Coroutine[object, object, Answer]) -> Answer:
        """Claim; a delivery that is cut off meanwhile gives back what its claim has taken.

        A statement that is canceled may have committed, and then nobody would know of the claim.

        Raises:
            CancelledError: The delivery was cut off.
        """
        task = asyncio.ensure_future(claiming)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with suppress(PulseError):  # nothing was taken
                taken = await task
                if isinstance(taken, Claimed):
                    await hand_back(self.services, taken)
            raise

    async def _begin(self, fence: Fence) -> Recorded:
        """Begin a list whose first step cannot be tried in the same delivery."""
        beginning = await self.mirror.begin(fence)
        if isinstance(beginning, Refusal):
            return beginning
        return StepDone(beginning=beginning, deferred=True)

    async def _handler_missing(self, step: StepInput, fence: Fence) -> Recorded:
        known = self.registry.actions if step.type == "action" else self.registry.conditions
        self._warn(
            step,
            UNKNOWN_HERE,
            known=", ".join(sorted(known)) or "none",
            until=f"{self.services.options.blocked_step_timeout}",
        )
        return await self._blocked(
            step,
            fence,
            reason=f"No live worker knows the {step.type} {step.handler!r}.",
            error=f"This worker does not know the {step.type} {step.handler!r}; another may.",
            kind=contract.HANDLER_MISSING,
        )

    async def _not_understood(
        self, step: StepInput, fence: Fence, error: NotUnderstoodError
    ) -> Recorded:
        """Leave a step to workers of a newer release, as one whose handler is not known here."""
        reason = str(error)
        self._warn(step, TOO_NEW, error=reason)
        return await self._blocked(
            step, fence, reason=reason, error=reason, kind=contract.HANDLER_MISSING
        )

    async def _pool_too_small(self, step: StepInput, fence: Fence) -> Recorded:
        reason = (
            f"The pool of the application has max_size=1: {step.handler!r} is transactional and "
            "needs a second connection. Give create_engine a pool of at least 2."
        )
        return await self._blocked(
            step, fence, reason=reason, error=reason, kind=contract.POOL_TOO_SMALL
        )

    async def _threads_taken(self, step: StepInput, fence: Fence) -> Recorded:
        reason = (
            f"All {self.threads.size} threads of a worker are held by handlers that have not "
            f"returned, so the {step.type} {step.handler!r} was not called."
        )
        self._warn(step, NO_THREAD, threads=self.threads.size)
        return await self._blocked(
            step, fence, reason=reason, error=reason, kind=contract.THREADS_TAKEN
        )

    def _warn(self, step: StepInput, message: str, **more: object) -> None:
        """Warn that a step cannot start here; of each handler only after growing pauses.

        Blocked steps are delivered every few seconds, and there may be thousands of them.
        """
        facts = {
            "tenant_id": step.scope.tenant_id,
            "run_id": step.scope.run_id,
            "path": step.path,
            "type": step.type,
            "handler": step.handler,
            **more,
        }
        if self.repeats.is_due(f"{message} {step.type} {step.handler}"):
            log.warning(message, facts, extra=facts)

    async def _blocked(
        self, step: StepInput, fence: Fence, *, reason: str, error: str, kind: str
    ) -> Recorded:
        """Write into the run why a step cannot start, and let Temporal deliver it again.

        Raises:
            ApplicationError: A retryable one, so that another worker may take the step.
        """
        recorded = await self.services.ledger.block(fence, step.path, reason=reason)
        if recorded is not None:
            return recorded
        raise ApplicationError(error, type=kind, category=ApplicationErrorCategory.BENIGN)


def _reason_to_pass_over(step: StepInput, action: Action) -> str | None:
    if step.scope.is_dry_run:
        return "dry run"
    return "replay" if step.scope.is_replay and not action.replay_safe else None
