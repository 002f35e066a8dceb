"""How workflows call activities: types, bounds and who may repeat them."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from pulse_temporal.contract import (
    ATTEMPT_FAILED,
    Answer,
    Refusal,
    StepAnswer,
    StepDone,
    StepInput,
)

Reply = TypeVar("Reply", bound=BaseModel)

INFRASTRUCTURE = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)
)
"""For failures that are nobody's attempt: a lost worker, a database that is away."""

ONCE = RetryPolicy(maximum_attempts=1)
A_FEW_TIMES = RetryPolicy(initial_interval=timedelta(milliseconds=250), maximum_attempts=6)
"""For writes from inside a worker, within ``WRITE_BOUND`` altogether: three tries where Postgres
is silent. More would hold the workflow in a worker whose database is away; see ``TryElsewhere``.
Fewer would give it up for a few connections that were cut, and Temporal repeats a task that has
failed with pauses that grow to minutes."""

WRITE_BOUND = timedelta(seconds=15)

BACKSTOP = timedelta(seconds=10)
"""What Temporal waits longer than the attempt's own bound, which the worker enforces."""


class TryElsewhere(Exception):  # noqa: N818 - nothing has failed but this worker's task
    """Fails the workflow task: Temporal gives it to a worker that may reach Postgres.

    The execution stays as it is. Temporal repeats the task with growing pauses, of which only
    the first failure shows in the history.
    """


class Refused(Exception):  # noqa: N818 - not an error: another execution or a cancel came first
    """This execution may not go on."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


async def write(
    activity: str, argument: object, answer: type[Answer[Reply]], *, summary: str
) -> Reply:
    """Make a mirror write, repeated here and elsewhere until Postgres takes it.

    Args:
        activity: Name from ``contract``.
        argument: Its payload.
        answer: What the activity answers; a refusal is raised.
        summary: Line in Temporal's UI.

    Raises:
        Refused: This execution does not speak for the run any more.
        TryElsewhere: This worker cannot make it.
    """
    return _accepted(await write_locally(activity, argument, answer, summary=summary))


async def write_locally(
    activity: str, argument: object, answer: type[Reply], *, summary: str
) -> Reply:
    """Call a local activity that may be repeated anywhere, and return what it answers.

    Raises:
        ActivityError: It was canceled, or has failed for good.
        TryElsewhere: It does not succeed in this worker.
    """
    try:
        return await workflow.execute_local_activity(
            activity,
            argument,
            result_type=answer,
            schedule_to_close_timeout=WRITE_BOUND,
            retry_policy=A_FEW_TIMES,
            summary=summary,
        )
    except FailureError as error:
        cause = error.cause
        is_final = isinstance(cause, ApplicationError) and cause.non_retryable
        if is_final or is_cancelled_exception(error):
            raise
        # Without the chain below it: all of that would be part of the history.
        raise TryElsewhere(f"{activity} does not succeed here: {cause or error}") from None


async def attempt_locally(step: StepInput, *, timeout: timedelta, summary: str) -> StepDone | None:
    """Deliver a step for the first time, inside the workflow's own worker.

    Return None when the delivery ended without anything on record; it is delivered again then,
    through the queue.

    Raises:
        ApplicationError: The attempt failed, with details as ``AttemptFailure``.
        Refused: The run is canceled or another execution speaks for it.
    """
    try:
        answer = await workflow.execute_local_activity(
            step.handler,
            step,
            result_type=StepAnswer,
            start_to_close_timeout=timeout + BACKSTOP,
            retry_policy=ONCE,  # attempts are counted by the ledger, not by Temporal
            summary=summary,
        )
    except FailureError as error:
        if is_cancelled_exception(error) or is_attempt_failure(error):
            raise
        workflow.logger.info("A local delivery ended without a record: %s", error)
        return None
    return _accepted(answer)


async def attempt_queued(
    step: StepInput, *, timeout: timedelta, heartbeat: timedelta, summary: str
) -> StepDone:
    """Deliver a step through the task queue, again and again while workers are lost.

    Raises:
        ActivityError: The attempt failed; its cause has details as ``AttemptFailure``.
        Refused: The run is canceled or another execution speaks for it.
    """
    answer = await workflow.execute_activity(
        step.handler,
        step,
        result_type=StepAnswer,
        start_to_close_timeout=timeout + BACKSTOP,
        heartbeat_timeout=heartbeat,
        # For deliveries that were lost, and for steps that could not start where they came to; an
        # attempt that has failed is raised as not retryable.
        retry_policy=INFRASTRUCTURE,
        summary=summary,
    )
    return _accepted(answer)


def is_attempt_failure(error: BaseException | None) -> bool:
    """Return whether an error is a failed attempt that is on record."""
    return isinstance(error, ApplicationError) and error.type == ATTEMPT_FAILED


def _accepted(answer: Answer[Reply]) -> Reply:
    if isinstance(answer.root, Refusal):
        raise Refused(answer.root)
    return answer.root
