"""What Temporal is told of a definition: the form of its steps, and the terms of delivery."""

from __future__ import annotations

from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import StepSkeleton, Terms
from pulse_temporal.model.steps import ConditionStep, DelayStep, HandlerStep, WorkflowStep


def terms(options: EngineOptions) -> Terms:
    """Return the options of a worker, or of whoever starts a run, that decide how steps run."""
    return Terms(
        action_timeout_ms=whole_ms(options.action_timeout),
        heartbeat_timeout_ms=whole_ms(options.heartbeat_timeout),
        local_limit_ms=whole_ms(options.local_activity_limit),
    )


def whole_ms(length: timedelta) -> int:
    """Return a length of time in whole milliseconds."""
    return round(length / timedelta(milliseconds=1))


def skeleton(steps: list[WorkflowStep]) -> tuple[StepSkeleton, ...]:
    """Strip a list of steps to what control flow needs."""
    return tuple(_skeleton_of(step) for step in steps)


def _skeleton_of(step: WorkflowStep) -> StepSkeleton:
    if isinstance(step, HandlerStep):
        return StepSkeleton(
            type=step.type,
            name=step.name,
            uses=step.handler,
            timeout_ms=step.timeout_ms,
            on_false=step.on_false if isinstance(step, ConditionStep) else "complete",
        )
    if isinstance(step, DelayStep):
        return StepSkeleton(type=step.type, name=step.name, delay_ms=step.delay_ms)
    return StepSkeleton(
        type=step.type,
        name=step.name,
        branches=tuple(skeleton(branch) for branch in step.branches),
    )
