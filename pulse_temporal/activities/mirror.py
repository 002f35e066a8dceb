"""The activities that write the mirror; all local, all safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import activity

from pulse_temporal import contract
from pulse_temporal.activities.fences import fence_of
from pulse_temporal.contract import (
    BeginAnswer,
    CancelInput,
    DelayAnswer,
    DelayInput,
    EndBranchInput,
    FinishInput,
    ParallelInput,
    Refusal,
    SkipInput,
    Speaker,
    WriteAnswer,
    Written,
)
from pulse_temporal.failpoints import reach
from pulse_temporal.services.control import RunControl
from pulse_temporal.services.mirror import Mirror, moment
from pulse_temporal.temporal import end_branch


@dataclass(frozen=True, slots=True)
class MirrorActivities:
    """One method an activity; each hands its input to the mirror."""

    mirror: Mirror
    control: RunControl

    @activity.defn(name=contract.BEGIN)
    async def begin(self, speaker: Speaker) -> BeginAnswer:
        """Let an interpreter begin."""
        await reach("begin.before_write")
        answer = await self.mirror.begin(fence_of(speaker))
        await reach("begin.after_write")
        return BeginAnswer(answer)

    @activity.defn(name=contract.START_DELAY)
    async def start_delay(self, delay: DelayInput) -> DelayAnswer:
        """Begin a delay."""
        answer = await self.mirror.start_delay(
            fence_of(delay), delay.path, now=moment(delay.now_ms), until=moment(delay.until_ms)
        )
        await reach("start_delay.after_write")
        return DelayAnswer(answer)

    @activity.defn(name=contract.END_DELAY)
    async def end_delay(self, delay: DelayInput) -> WriteAnswer:
        """End a delay."""
        answer = await self.mirror.end_delay(fence_of(delay), delay.path, now=moment(delay.now_ms))
        await reach("end_delay.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.SKIP)
    async def skip(self, skip: SkipInput) -> WriteAnswer:
        """Pass over steps."""
        answer = await self.mirror.skip(fence_of(skip), skip.paths, by=skip.by)
        await reach("skip.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.START_PARALLEL)
    async def start_parallel(self, block: ParallelInput) -> WriteAnswer:
        """Begin a parallel step."""
        answer = await self.mirror.start_parallel(fence_of(block), block.path)
        await reach("start_parallel.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_PARALLEL)
    async def finish_parallel(self, block: ParallelInput) -> WriteAnswer:
        """Join the branches of a parallel step."""
        answer = await self.mirror.finish_parallel(fence_of(block), block.path, error=block.error)
        await reach("finish_parallel.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.END_BRANCH)
    async def end_branch(self, ending: EndBranchInput) -> WriteAnswer:
        """End the workflow of a branch that speaks for an earlier execution of its parent."""
        fence = fence_of(ending)
        answer = await self.mirror.take_over(fence)
        if not isinstance(answer, Refusal):
            await end_branch(
                activity.client(),
                contract.branch_workflow_id(ending.scope, ending.path),
                parent_run_id=fence.temporal_run_id,
                patience=self.mirror.options.temporal_timeout,
            )
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_BRANCH)
    async def finish_branch(self, speaker: Speaker) -> WriteAnswer:
        """Note the end of a branch."""
        answer = await self.mirror.finish_branch(fence_of(speaker))
        await reach("finish_branch.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_RUN)
    async def finish_run(self, finish: FinishInput) -> WriteAnswer:
        """End a run."""
        await reach("finish_run.before_write")
        answer = await self.mirror.finish_run(fence_of(finish), error=finish.error)
        await reach("finish_run.after_write")
        return WriteAnswer(answer)

    @activity.defn(name=contract.CANCEL_RUN)
    async def cancel_run(self, cancel: CancelInput) -> WriteAnswer:
        """Record a cancellation that came from Temporal."""
        scope = cancel.scope
        status = await self.control.record_cancel(
            scope.run_id,
            tenant_id=scope.tenant_id,
            generation=scope.generation,
            reason=cancel.reason,
            tell_temporal=cancel.tell_temporal,
        )
        return WriteAnswer(Written(status=status or "canceled"))

    def all(self) -> list[Callable[..., object]]:
        """Give every activity of this class, for the worker."""
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
