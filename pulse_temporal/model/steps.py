"""The kinds of step that a definition is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from pulse_temporal.model.paths import Path, branch_path, child_path
from pulse_temporal.model.values import JsonObject, Name, Value

StepType = Literal["action", "condition", "delay", "parallel"]

MAX_ATTEMPTS = 10
MIN_BACKOFF_MS = 100
MAX_BACKOFF_MS = 300_000
MAX_COEFFICIENT = 10.0
DAY_MS = 86_400_000
MAX_SKIP = 2**63 - 1
"""Largest integer of canonical JSON; a condition that skips more steps than follow skips all."""


def _is_absent(value: object) -> bool:
    return value is None


def _check_on_false(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Raise one error with all that is accepted, not pydantic's one for each part of a union."""
    try:
        return check(value)
    except ValidationError:
        if isinstance(value, int) and value > MAX_SKIP:
            raise PydanticCustomError(
                "pulse_on_false", "must be at most {most}", {"most": MAX_SKIP}
            ) from None
        raise PydanticCustomError(
            "pulse_on_false",
            'must be "complete", "skip" or the number of steps to skip, at least 1',
        ) from None


OnFalse = Annotated[
    Literal["complete", "skip"] | Annotated[int, Field(strict=True, ge=1, le=MAX_SKIP)],
    WrapValidator(_check_on_false),
]
"""What a false condition does: end its list, or skip one or N of the next siblings."""


class RetryPolicy(Value):
    """How often a failed step is tried again, and after which pause.

    Attributes:
        max_attempts: Calls in all, the first one included; 1 to 10.
        backoff_ms: Pause before the second attempt; 100 to 300 000.
        backoff_coefficient: Each further pause is this many times longer; 1 to 10.
        max_backoff_ms: No pause is longer; None leaves it to the coefficient.
    """

    max_attempts: int = Field(strict=True, ge=1, le=MAX_ATTEMPTS)
    backoff_ms: int = Field(strict=True, ge=MIN_BACKOFF_MS, le=MAX_BACKOFF_MS)
    backoff_coefficient: float = Field(default=2.0, strict=True, ge=1, le=MAX_COEFFICIENT)
    max_backoff_ms: int | None = Field(
        default=None, strict=True, ge=MIN_BACKOFF_MS, le=DAY_MS, exclude_if=_is_absent
    )


class Step(Value):
    """Base of all kinds of step.

    Attributes:
        name: Unique in the whole definition; the key of the result in the run's context.
        config: Merged over the definition's config for this step's handler.
    """

    name: Name
    config: JsonObject | None = Field(default=None, exclude_if=_is_absent)


class HandlerStep(Step):
    """A step that calls application code.

    Attributes:
        uses: Name of the handler when it differs from the step's name.
        retry_policy: None means one attempt.
        timeout_ms: Bound of one attempt, at most a day; None takes the engine's default.
    """

    uses: Name | None = Field(default=None, exclude_if=_is_absent)
    retry_policy: RetryPolicy | None = Field(default=None, exclude_if=_is_absent)
    timeout_ms: int | None = Field(
        default=None, strict=True, ge=1, le=DAY_MS, exclude_if=_is_absent
    )

    @property
    def handler(self) -> str:
        """Name under which the handler is registered."""
        return self.uses or self.name


class ActionStep(HandlerStep):
    """Calls an action; its result joins the run's context under the step's name."""

    type: Literal["action"] = "action"


class ConditionStep(HandlerStep):
    """Asks a condition; the answer decides which steps follow.

    Attributes:
        on_false: ``complete`` completes this list and skips its rest, ``skip`` skips the next
            sibling, a number skips that many siblings.
    """

    type: Literal["condition"] = "condition"
    on_false: OnFalse = "complete"


class DelayStep(Step):
    """Waits durably, and never less than it should.

    Attributes:
        delay_ms: Length of the wait, more than 0; ``limits.delay`` is its upper bound.
    """

    type: Literal["delay"] = "delay"
    delay_ms: int = Field(strict=True, gt=0)


class ParallelStep(Step):
    """Runs two or more lists of steps side by side and waits for all of them.

    Attributes:
        branches: At least two lists, none of them empty.
    """

    type: Literal["parallel"] = "parallel"
    branches: list[Annotated[list[WorkflowStep], Field(min_length=1)]] = Field(min_length=2)


WorkflowStep = Annotated[
    ActionStep | ConditionStep | DelayStep | ParallelStep, Field(discriminator="type")
]
"""One step of a definition; ``type`` is its kind."""

ParallelStep.model_rebuild()

STEP_MODELS: dict[StepType, type[Step]] = {
    "action": ActionStep,
    "condition": ConditionStep,
    "delay": DelayStep,
    "parallel": ParallelStep,
}


def walk(
    steps: Sequence[WorkflowStep], *, prefix: str = ""
) -> Iterator[tuple[Path, WorkflowStep]]:
    """Yield every step with its path in document order, a parallel step before its branches.

    Args:
        steps: One list of a definition.
        prefix: Prefix of that list, ``""`` for the root.
    """
    for index, step in enumerate(steps):
        path = child_path(prefix, index)
        yield path, step
        if isinstance(step, ParallelStep):
            for branch, inner in enumerate(step.branches):
                yield from walk(inner, prefix=branch_path(path, branch))
