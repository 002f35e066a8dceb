"""The part of a definition and of the options that Temporal is given: step skeletons and terms."""

from __future__ import annotations

from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import StepSkeleton, Terms
from pulse_temporal.model.steps import ConditionStep, DelayStep, HandlerStep, WorkflowStep


def terms(options: EngineOptions) -> Terms:
    """Return the options that decide how steps are delivered, of a worker or a run's starter."""
    return Terms(
        action_timeout_ms=whole_ms(options.action_timeout),
        heartbeat_timeout_ms=whole_ms(options.heartbeat_timeout),
        local_limit_ms=whole_ms(options.local_activity_limit),
    )


def whole_ms(length: timedelta) -> int:
    """Return a length of time in milliseconds, rounded."""
    return round(length / timedelta(milliseconds=1))


def skeleton(steps: list[WorkflowStep]) -> tuple[StepSkeleton, ...]:
    """Return a list of steps reduced to what control flow needs, without the tenant's config."""
    return tuple(_skeleton_of(step) for step in steps)


def _skeleton_of(step: WorkflowStep) -> StepSkeleton:
    """Return one step's skeleton; fields that its kind does not have keep their defaults."""
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
