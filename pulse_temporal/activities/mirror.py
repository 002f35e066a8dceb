"""The activities that write the mirror; all local, all safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import activity

from pulse_temporal import contract
from pulse_temporal.activities.fences import fence_of
from pulse_temporal.contract import (
    BeginReply,
    CancelInput,
    DelayInput,
    DelayReply,
    FinishInput,
    ParallelInput,
    SkipInput,
    Speaker,
    WriteReply,
    Written,
)
from pulse_temporal.services.control import record_cancel
from pulse_temporal.services.mirror import Mirror, moment


@dataclass(frozen=True, slots=True)
class MirrorActivities:
    """One method an activity; each hands its input to the mirror."""

    mirror: Mirror

    @activity.defn(name=contract.BEGIN)
    async def begin(self, speaker: Speaker) -> BeginReply:
        """Let an interpreter begin."""
        return await self.mirror.begin(fence_of(speaker))

    @activity.defn(name=contract.START_DELAY)
    async def start_delay(self, delay: DelayInput) -> DelayReply:
        """Begin a delay."""
        return await self.mirror.start_delay(
            fence_of(delay), delay.path, now=moment(delay.now_ms), until=moment(delay.until_ms)
        )

    @activity.defn(name=contract.END_DELAY)
    async def end_delay(self, delay: DelayInput) -> WriteReply:
        """End a delay."""
        return await self.mirror.end_delay(fence_of(delay), delay.path, now=moment(delay.now_ms))

    @activity.defn(name=contract.SKIP)
    async def skip(self, skip: SkipInput) -> WriteReply:
        """Pass over steps."""
        return await self.mirror.skip(fence_of(skip), skip.paths, by=skip.by)

    @activity.defn(name=contract.START_PARALLEL)
    async def start_parallel(self, block: ParallelInput) -> WriteReply:
        """Begin a parallel step."""
        return await self.mirror.start_parallel(fence_of(block), block.path)

    @activity.defn(name=contract.FINISH_PARALLEL)
    async def finish_parallel(self, block: ParallelInput) -> WriteReply:
        """Join the branches of a parallel step."""
        return await self.mirror.finish_parallel(fence_of(block), block.path, error=block.error)

    @activity.defn(name=contract.FINISH_BRANCH)
    async def finish_branch(self, speaker: Speaker) -> WriteReply:
        """Note the end of a branch."""
        return await self.mirror.finish_branch(fence_of(speaker))

    @activity.defn(name=contract.FINISH_RUN)
    async def finish_run(self, finish: FinishInput) -> WriteReply:
        """End a run."""
        return await self.mirror.finish_run(fence_of(finish), error=finish.error)

    @activity.defn(name=contract.CANCEL_RUN)
    async def cancel_run(self, cancel: CancelInput) -> WriteReply:
        """Record a cancellation that came from Temporal."""
        scope = cancel.scope
        await record_cancel(
            self.mirror.database, scope.run_id, tenant_id=scope.tenant_id, reason=cancel.reason
        )
        return Written(status="canceled")

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
