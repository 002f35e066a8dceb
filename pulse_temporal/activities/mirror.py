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
    FinishInput,
    ParallelInput,
    SkipInput,
    Speaker,
    WriteAnswer,
    Written,
)
from pulse_temporal.services.control import RunControl
from pulse_temporal.services.mirror import Mirror, moment


@dataclass(frozen=True, slots=True)
class MirrorActivities:
    """One method an activity; each hands its input to the mirror."""

    mirror: Mirror
    control: RunControl

    @activity.defn(name=contract.BEGIN)
    async def begin(self, speaker: Speaker) -> BeginAnswer:
        """Let an interpreter begin."""
        answer = await self.mirror.begin(fence_of(speaker))
        return BeginAnswer(answer)

    @activity.defn(name=contract.START_DELAY)
    async def start_delay(self, delay: DelayInput) -> DelayAnswer:
        """Begin a delay."""
        answer = await self.mirror.start_delay(
            fence_of(delay), delay.path, now=moment(delay.now_ms), until=moment(delay.until_ms)
        )
        return DelayAnswer(answer)

    @activity.defn(name=contract.END_DELAY)
    async def end_delay(self, delay: DelayInput) -> WriteAnswer:
        """End a delay."""
        answer = await self.mirror.end_delay(fence_of(delay), delay.path, now=moment(delay.now_ms))
        return WriteAnswer(answer)

    @activity.defn(name=contract.SKIP)
    async def skip(self, skip: SkipInput) -> WriteAnswer:
        """Pass over steps."""
        answer = await self.mirror.skip(fence_of(skip), skip.paths, by=skip.by)
        return WriteAnswer(answer)

    @activity.defn(name=contract.START_PARALLEL)
    async def start_parallel(self, block: ParallelInput) -> WriteAnswer:
        """Begin a parallel step."""
        answer = await self.mirror.start_parallel(fence_of(block), block.path)
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_PARALLEL)
    async def finish_parallel(self, block: ParallelInput) -> WriteAnswer:
        """Join the branches of a parallel step."""
        answer = await self.mirror.finish_parallel(fence_of(block), block.path, error=block.error)
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_BRANCH)
    async def finish_branch(self, speaker: Speaker) -> WriteAnswer:
        """Note the end of a branch."""
        answer = await self.mirror.finish_branch(fence_of(speaker))
        return WriteAnswer(answer)

    @activity.defn(name=contract.FINISH_RUN)
    async def finish_run(self, finish: FinishInput) -> WriteAnswer:
        """End a run."""
        answer = await self.mirror.finish_run(fence_of(finish), error=finish.error)
        return WriteAnswer(answer)

    @activity.defn(name=contract.CANCEL_RUN)
    async def cancel_run(self, cancel: CancelInput) -> WriteAnswer:
        """Record a cancellation that came from Temporal."""
        scope = cancel.scope
        await self.control.record_cancel(
            scope.run_id, tenant_id=scope.tenant_id, reason=cancel.reason
        )
        return WriteAnswer(Written(status="canceled"))

    def all(self) -> list[Callable[..., object]]:
        """Give every activity of this class, for the worker."""
        return [
            self.begin,
            self.start_delay,
            self.end_delay,
            self.skip,
            self.start_parallel,
            self.finish_parallel,
            self.finish_branch,
            self.finish_run,
            self.cancel_run,
        ]
