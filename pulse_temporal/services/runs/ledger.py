"""Claim a step, record what came of it: a recorded result is never made again.

The claim is a short transaction of its own; the handler runs without any lock; recording locks
the control row first, so a cancel that has returned is final.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, TypeAlias

from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import AttemptFailure, Refusal, StepDone
from pulse_temporal.errors import (
    HandlerResultError,
    HandlerTimeoutError,
    StoreError,
    WorkerLostError,
)
from pulse_temporal.handlers.logs import (
    HOW_NOT_TO_BLOCK,
    Subject,
    attempt_failed,
    attempt_lost,
    step_failed,
)
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.steps import RetryPolicy
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.runs import replies
from pulse_temporal.services.runs.admission import admit
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.verdicts import judge_running
from pulse_temporal.store import attempts, claims, steps, timeline
from pulse_temporal.store.attempts import FailedAttempt, Succeeded
from pulse_temporal.store.claims import Claimed, ClaimRef, ClaimTerms
from pulse_temporal.store.contexts import KeptResults
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.steps import LockedStep

Recorded: TypeAlias = StepDone | AttemptFailure | Refusal
"""What the ledger says of a step that this delivery need not, or must not, work on."""

CLAIM_ROUNDS = 4

WORKER_LOST = "The worker was lost while it ran this step."
SHUT_DOWN = "The worker shut down; the step goes on elsewhere."
TOO_LONG = "It takes longer than a local activity may; it goes on through the task queue."
TIMED_OUT_BLOCKING = (
    f"{HandlerTimeoutError.__name__}: the attempt passed its deadline while its handler blocked "
    f"the event loop of its worker. {HOW_NOT_TO_BLOCK}"
)
TIMED_OUT = "The attempt passed its deadline and was not recorded."


class Ledger:
    """Claims and records steps for one worker process.

    Args:
        database: Where the ledger is.
        observers: Told when a step has ended.
        options: Bounds: lost workers, and the size of results shown in Temporal.
        worker_id: Name of this process in the attempts.
        clock: For lines that Pulse itself writes.
    """

    def __init__(
        self,
        database: Database,
        observers: Observers,
        options: EngineOptions,
        *,
        worker_id: str,
        clock: Clock,
    ) -> None:
        self.database = database
        self.observers = observers
        self.options = options
        self.clock = clock
        self.worker_id = worker_id
        self.kept: KeptResults = KeptResults()

    async def claim(
        self, fence: Fence, path: str, *, timeout: timedelta, waited_after: int
    ) -> Claimed | Recorded:
        """Take a step, or learn what is on record for it.

        Args:
            fence: The execution that asks.
            path: The step.
            timeout: Length of the attempt that begins with the claim.
            waited_after: Number of the failed attempt whose pause the execution has waited out.
        """
        terms = ClaimTerms(self.worker_id, timeout, waited_after=waited_after)
        # Two transactions a round, so another delivery may come between them: it claims what was
        # just settled, and the next round settles that one. More rounds would be a delivery that
        # never ends; Temporal's own pauses are the better wait.
        for _ in range(CLAIM_ROUNDS):
            async with self.database.session() as session:
                claimed = await claims.claim(session, fence, path, terms=terms, kept=self.kept)
            if claimed is not None:
                return claimed
            recorded = await self._settle(fence, path)
            if recorded is not None:
                return recorded
        raise StoreError(f"Step {path} of {fence.run_id} is contended; the claim is tried again.")

    async def open(self, fence: Fence, path: str, *, timeout: timedelta) -> Claimed | None:
        """Begin a list and claim its first step, in one statement.

        Return None, and change nothing, when another execution has written for the list before:
        then the list must be begun by itself, which says which steps have ended.
        """
        terms = ClaimTerms(self.worker_id, timeout, opens_list=True)
        async with self.database.session() as session:
            return await claims.claim(session, fence, path, terms=terms, kept=self.kept)

    async def pass_over(self, fence: Fence, path: str, *, reason: str) -> Recorded:
        """Skip an action of a replay; later steps see what the original run recorded for it."""
        for _ in range(CLAIM_ROUNDS):
            async with self.database.session() as session:
                passed = await steps.pass_over(session, fence, path, reason=reason)
            if passed:
                self._tell(fence, path)
                return StepDone(skipped=True)
            recorded = await self._settle(fence, path)
            if recorded is not None:
                return recorded
        raise StoreError(f"Step {path} of {fence.run_id} is contended; it is tried again.")

    async def succeed(
        self,
        session: Session,
        claim_ref: ClaimRef,
        *,
        succeeded: Succeeded,
        logs: Sequence[LogLine],
        ends: bool,
    ) -> StepDone | None:
        """Record what a handler returned, with ``ends`` as the run's last; None: it is refused.

        Joins the session's transaction, which is how a transactional action's effect and its
        record become one. Call ``succeeded`` after the commit.

        Raises:
            HandlerResultError: The run's results would be larger than ``limits.context_bytes``.
        """
        limit = self.options.limits.context_bytes
        # The statement checks the control row and the claim once more: a cancel, a retry or a
        # newer delivery may have come while the handler ran without any lock.
        recording = await attempts.record_success(
            session, claim_ref, succeeded=succeeded, logs=logs, context_bytes=limit, ends=ends
        )
        if recording == "too_large":
            raise HandlerResultError(
                f"The result would make the run's context larger than {limit} bytes "
                "(limits.context_bytes)."
            )
        if recording == "refused":
            return None
        done = self.done(succeeded.result, succeeded.answer)
        return done.model_copy(update={"ended": True}) if recording == "finished" else done

    def succeeded(self, claim_ref: ClaimRef, done: StepDone) -> StepDone:
        """Tell the hooks of a success that is committed, and return the reply for it."""
        fence = claim_ref.fence
        self._tell(fence, claim_ref.path)
        if done.ended:
            self.observers.run_ended(fence.run_id, tenant_id=fence.tenant_id)
        return done

    async def fail(
        self,
        claim_ref: ClaimRef,
        *,
        failed: FailedAttempt,
        policy: RetryPolicy | None,
        logs: Sequence[LogLine],
    ) -> Recorded:
        """Record a failed attempt; return whether another one follows, or what is on record."""
        async with self.database.session() as session:
            outcome = await attempts.record_failure(
                session, claim_ref, failed=failed, policy=policy, logs=logs
            )
        if outcome is not None:
            # Hooks are told of steps that have ended, not of attempts.
            if outcome.retry_in_ms is None:
                self._tell(claim_ref.fence, claim_ref.path)
            return replies.failure(outcome)
        # The claim is no longer this delivery's: it was too slow, or its run has gone on.
        return await self.standing(claim_ref.fence, claim_ref.path)

    async def standing(self, fence: Fence, path: str) -> Recorded:
        """Return what is on record for a step whose write was refused.

        Raises:
            StoreError: Another delivery is at work on it; Temporal asks again.
        """
        async with self.database.transaction() as session:
            refusal = await admit(session, fence)
            if refusal is not None:
                return refusal
            outcome = await steps.outcome(session, fence, path)
        if outcome is None:
            return replies.unknown_step(fence, path)
        if outcome.status == "completed":
            return self.done(outcome.result, outcome.answer)
        if outcome.status in ("failed", "scheduled"):
            return replies.failure(outcome)
        if outcome.status == "skipped":
            return StepDone(skipped=True)
        raise StoreError(f"Step {path} of {fence.run_id} was taken over by another claim.")

    async def block(self, fence: Fence, path: str, *, reason: str) -> Recorded | None:
        """Note that a step cannot start here; return None while another worker may start it.

        When no worker could within ``blocked_step_timeout``, the step fails.
        """
        async with self.database.transaction() as session:
            refusal = await admit(session, fence)
            if refusal is not None:
                return refusal
            step = await steps.lock_step(session, fence, path)
            is_open = step is not None and step.status == "running"
            # A worker that was lost in the middle of the step left it running, and a running step
            # is not blocked: its attempt is settled first.
            given_up = (
                await self._settle_running(session, step, path) if step and is_open else None
            )
            blocked = await steps.block(session, fence, path, reason=reason)
            if blocked is not None:
                if blocked.is_new:  # such deliveries come every few seconds; the log has one line
                    await self._note(session, fence, blocked.step_id, f"The step waits: {reason}")
                if blocked.blocked_for < self.options.blocked_step_timeout:
                    return None
                await steps.give_up(session, blocked.step_id, message=reason)
                subject = Subject(fence.tenant_id, fence.run_id, path)
                step_failed(subject, message=reason)
            outcome = await steps.outcome(session, fence, path)
        if blocked is not None or given_up is not None:
            self._tell(fence, path)
        if outcome is None:
            return replies.unknown_step(fence, path)
        if outcome.status == "completed":
            return self.done(outcome.result, outcome.answer)
        return replies.failure(outcome) if outcome.status == "failed" else None

    async def release(self, claimed: Claimed) -> None:
        """Give a step back unfinished, because this worker shuts down; it costs no attempt."""
        await self._close(claimed, ending="released", message=SHUT_DOWN)

    async def give_back(self, claimed: Claimed, *, logs: Sequence[LogLine]) -> None:
        """Give a step back that takes too long for where it runs; it costs no attempt."""
        async with self.database.transaction() as session:
            await claims.give_back(session, claimed, reason=TOO_LONG)
            for line in logs:
                await timeline.add_log(
                    session,
                    line,
                    run_id=claimed.run.id,
                    step_run_id=claimed.step.id,
                    tenant_id=claimed.run.tenant_id,
                )

    async def lose(self, claimed: Claimed, *, reason: str) -> None:
        """Give a step back whose delivery can record nothing; it counts as a lost worker.

        So what comes again with every delivery ends, after ``max_lost_workers`` of them.
        """
        await self._close(claimed, ending="lost", message=reason)

    async def _close(
        self, claimed: Claimed, *, ending: Literal["lost", "released"], message: str
    ) -> None:
        async with self.database.transaction() as session:
            await attempts.release(session, claimed, ending=ending, message=message)

    async def note_late_finish(self, claimed: Claimed) -> None:
        """Write into the run's log that a handler finished after its run was canceled."""
        fence, step_id = claimed.claim_ref.fence, claimed.step.id
        async with self.database.session() as session:
            message = "The handler finished after its run was canceled."
            await self._note(session, fence, step_id, message)

    async def _note(self, session: Session, fence: Fence, step_id: str, message: str) -> None:
        """Write a warning about a step into the run's log, and so into its timeline."""
        line = LogLine(new_id("log"), level="warn", message=message, data=None, at=self.clock())
        await timeline.add_log(
            session, line, run_id=fence.run_id, step_run_id=step_id, tenant_id=fence.tenant_id
        )

    def done(self, result: str | None, answer: bool | None) -> StepDone:
        """Return the reply for a recorded result, which it carries when it is small."""
        return replies.done(result, answer, shown_bytes=self.options.history_result_bytes)

    async def _settle(self, fence: Fence, path: str) -> Recorded | None:
        """End what stands in the way of a claim; None: claim again."""
        async with self.database.transaction() as session:
            refusal = await admit(session, fence)
            if refusal is not None:
                return refusal
            step = await steps.lock_step(session, fence, path)
            if step is None or step.generation > fence.generation:
                return replies.unknown_step(fence, path)
            if step.status in ("pending", "scheduled"):
                # It became free while we waited for the lock. Between two attempts, the pause is
                # returned instead of a claim: this execution may not have waited for it, because
                # a reset has cut its timer off.
                outcome = await steps.outcome(session, fence, path)
                waits = outcome is not None and (outcome.retry_in_ms or 0) > 0
                return replies.failure(outcome) if outcome is not None and waits else None
            if step.status != "running":
                return self._ended(step)
            given_up = await self._settle_running(session, step, path)
        if given_up is not None:  # after the commit: a hook reads what it is told of
            self._tell(fence, path)
        return given_up

    def _tell(self, fence: Fence, path: str) -> None:
        self.observers.steps_ended(fence.run_id, tenant_id=fence.tenant_id, paths=[path])

    def _ended(self, step: LockedStep) -> Recorded:
        if step.status == "completed":
            return self.done(step.result, step.answer)
        return StepDone(skipped=True) if step.status == "skipped" else replies.given_up(step)

    async def _settle_running(
        self, session: Session, step: LockedStep, path: str
    ) -> AttemptFailure | None:
        """End the attempt that keeps a step running; None: the step may be claimed again.

        Raises:
            StoreError: The attempt is at work, in a worker whose event loop stands still.
        """
        verdict = judge_running(step, max_lost_workers=self.options.max_lost_workers)
        if verdict == "at work":
            raise StoreError(
                f"Step {path} of {step.run_id} is at work in a worker whose event loop stands "
                "still; it is asked for again."
            )
        timed_out = verdict in ("timed out", "timed out for good")
        message = WORKER_LOST
        if timed_out:
            message = TIMED_OUT_BLOCKING if step.holds_loop else TIMED_OUT
        subject = Subject(step.tenant_id, step.run_id, path, attempt=step.attempt)
        if step.open_claim is not None:
            ending = "timed_out" if timed_out else "lost"
            await attempts.close(session, step, step.open_claim, ending=ending, message=message)
            if timed_out:
                attempt_failed(subject, max_attempts=step.max_attempts, message=message)
            else:
                attempt_lost(subject, message=message)
        if verdict in ("lost", "timed out"):
            # A timeout was the handler's fault, and uses an attempt up; a lost worker was not.
            await steps.reopen(session, step.id, attempt_counts=timed_out)
            return None
        if verdict == "lost too often":
            message = (
                f"{WorkerLostError.__name__}: {step.lost_now} workers were lost, or could record"
                " nothing, while they ran this step."
            )
        await steps.give_up(session, step.id, message=message)
        step_failed(subject, message=message)
        return AttemptFailure(
            attempt=step.attempt,
            max_attempts=step.max_attempts,
            retry_in_ms=None,
            message=message,
        )
