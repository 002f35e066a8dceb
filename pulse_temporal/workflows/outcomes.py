"""Read what came of an activity or a branch from the error that Temporal raises for it."""

from __future__ import annotations

from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)

from pulse_temporal import contract
from pulse_temporal.contract import AttemptFailure, Failure, Refusal
from pulse_temporal.workflows.calls import Refused, is_attempt_failure


def attempt_failure(error: FailureError) -> AttemptFailure:
    """Read what a failed attempt says of itself; raise what is no failed attempt."""
    # A cancel may arrive wrapped in the failure of whatever was awaited.
    if is_cancelled_exception(error):
        raise error
    # Local activities raise the failure itself, queued ones wrap it.
    cause = error if is_attempt_failure(error) else error.cause
    if isinstance(cause, ApplicationError) and is_attempt_failure(cause):
        return AttemptFailure.model_validate(cause.details[0])
    raise error


def branch_failure(result: BaseException | None) -> str | None:
    """Return why a branch failed; None when it did not.

    Raises:
        Refused: The branch found the run canceled, or itself superseded.
        BaseException: The branch was canceled with the run.
    """
    if result is None:
        return None
    if not isinstance(result, ChildWorkflowError):
        raise result
    # Somebody has canceled the branch in Temporal's pages, which cancels the run.
    if is_cancelled_exception(result):
        message = "A branch was canceled in Temporal."
        raise Refused(Refusal(reason="canceled", message=message)) from result
    cause = result.cause
    if isinstance(cause, ApplicationError) and cause.type == contract.BRANCH_REFUSED:
        raise Refused(Refusal.model_validate(cause.details[0])) from result
    if isinstance(cause, ApplicationError) and cause.type == contract.BRANCH_FAILED:
        failure = Failure.model_validate(cause.details[0])
        return f"{failure.name}: {failure.message}"
    return f"the branch's workflow ended in Temporal: {cause or result}"
