"""The activities that write the mirror; all local, all safe to repeat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from temporalio import activity

from pulse_temporal import contract
from pulse_temporal.activities.fences import as_execution
from pulse_temporal.activities.patience import doubting
from pulse_temporal.contract import (
    BeginAnswer,
    CancelInput,
    DelayAnswer,
    DelayInput,
    EndBranchInput,
    ExecutionRef,
    FinishInput,
    ParallelInput,
    Refusal,
    SkipInput,
    WriteAnswer,
    Written,
)
from pulse_temporal.failpoints import reach
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.mirror import Mirror, moment
from pulse_temporal.store.fence import Fence
from pulse_temporal.temporal.workflows import end_branch

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class MirrorActivities:
    """One method an activity; each hands its input to the mirror.

    Attributes:
        mirror: Writes.
        control: Records cancels.
        doubt: Called when Postgres has failed an activity.
    """

    mirror: Mirror
    control: RunControl
    doubt: Callable[[], None]

    @activity.defn(name=contract.BEGIN)
    async def begin(self, execution: ExecutionRef) -> BeginAnswer:
        """Let an interpreter begin."""
        await reach("begin.before_write")
        answer = await self._as_execution(execution, self.mirror.begin)
        await reach("begin.after_write")
        return BeginAnswer(answer)

    @activity.defn(name=contract.START_DELAY)
    async def start_delay(self, delay: DelayInput) -> DelayAnswer:
        """Begin a delay."""
        now, until = moment(delay.now_ms), moment(delay.until_ms)
        answer = await self._as_execution(
            delay,
            lambda fence: self.mirror.start_delay(fence, delay.path, now=now, until=until),
        )
        await reach("start_delay.after_write")
        return DelayAnswer(answer)

    @activity.defn(name=contract.END_DELAY)
    async def end_delay(self, delay: DelayInput) -> WriteAnswer:
        """End a delay."""
        now = moment(delay.now_ms)
        answer = await self._as_execution(
            delay, lambda fence: self.mirror.end_delay(fence, delay.path, now=now)
        )
        await reach("end_delay.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.SKIP)
    async def skip(self, skip: SkipInput) -> WriteAnswer:
        """Pass over steps."""
        answer = await self._as_execution(
            skip, lambda fence: self.mirror.skip(fence, skip.paths, by=skip.by)
        )
        await reach("skip.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.START_PARALLEL)
    async def start_parallel(self, parallel: ParallelInput) -> WriteAnswer:
        """Begin a parallel step."""
        if parallel.begins:
            await reach("begin.before_write")
        answer = await self._as_execution(
            parallel,
            lambda fence: self.mirror.start_parallel(
                fence, parallel.path, opens_list=parallel.begins
            ),
        )
        if parallel.begins:
            await reach("begin.after_write")
        await reach("start_parallel.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_PARALLEL)
    async def finish_parallel(self, parallel: ParallelInput) -> WriteAnswer:
        """Join the branches of a parallel step."""
        if parallel.ends:
            await reach("finish_run.before_write")
        answer = await self._as_execution(
            parallel,
            lambda fence: self.mirror.finish_parallel(
                fence, parallel.path, error=parallel.error, ends_run=parallel.ends
            ),
        )
        await reach("finish_parallel.after_write")
        if parallel.ends:
            await reach("finish_run.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.END_BRANCH)
    async def end_branch(self, ending: EndBranchInput) -> WriteAnswer:
        """End the workflow of a branch that speaks for an earlier execution of its parent."""
        answer = await self._as_execution(ending, self.mirror.take_over)
        # Fenced first: an execution that is superseded must not end the branch of a newer one.
        if not isinstance(answer, Refusal):
            scope = ending.scope
            await end_branch(
                activity.client(),
                contract.branch_workflow_id(scope.run_id, scope.generation, ending.path),
                parent_run_id=activity.info().workflow_run_id or "",
                timeout=self.mirror.options.temporal_timeout,
            )
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_BRANCH)
    async def finish_branch(self, execution: ExecutionRef) -> WriteAnswer:
        """Note the end of a branch."""
        answer = await self._as_execution(execution, self.mirror.finish_branch)
        await reach("finish_branch.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_RUN)
    async def finish_run(self, finish: FinishInput) -> WriteAnswer:
        """End a run."""
        await reach("finish_run.before_write")
        answer = await self._as_execution(
            finish, lambda fence: self.mirror.finish_run(fence, error=finish.error)
        )
        await reach("finish_run.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.CANCEL_RUN)
    async def cancel_run(self, cancel: CancelInput) -> WriteAnswer:
        """Record a cancellation that came from Temporal."""
        scope = cancel.scope
        with doubting(self.doubt):
            status = await self.control.record_cancel(
                scope.run_id,
                tenant_id=scope.tenant_id,
                generation=scope.generation,
                reason=cancel.reason,
                tell_temporal=cancel.tell_temporal,
            )
        return WriteAnswer(Written(status=status))

    async def _as_execution(
        self, execution: ExecutionRef, say: Callable[[Fence], Awaitable[Answer]]
    ) -> Answer | Refusal:
        with doubting(self.doubt):
            return await as_execution(execution, say, timeout=self.mirror.options.temporal_timeout)

    def all(self) -> list[Callable[..., object]]:
        """Return every activity of this class, for the worker."""
        return [
            self.begin,
            self.start_delay,
            self.end_delay,
            self.skip,
            self.start_parallel,
            self.finish_parallel,
            self.end_branch,
            self.finish_branch,
            self.finish_run,
            self.cancel_run,
        ]
