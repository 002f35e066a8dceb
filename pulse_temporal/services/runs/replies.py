"""Put what is on record for a step into the words that travel to its workflow. Pure."""

from __future__ import annotations

from pydantic_core import from_json

from pulse_temporal.contract import AttemptFailure, Refusal, StepDone
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.steps import LockedStep, Outcome

MESSAGE_CHARS = 1_000
"""Of an error, in the history; Postgres has all of it."""


def done(result: str | None, answer: bool | None, *, shown_bytes: int) -> StepDone:
    """Return the reply for a recorded result: the answer, and the result when it is small.

    The answer is not read from the result: an action may return what looks like one, and must
    not end its list.

    Args:
        result: JSON text; None: the handler returned nothing.
        answer: Of a condition; None for an action.
        shown_bytes: Longest result that travels. People see it in Temporal's pages; larger ones
            would fill the history, which every worker reads that takes the run over.
    """
    if result is None:
        return StepDone()
    return StepDone(value=answer, result=from_json(result) if len(result) <= shown_bytes else None)


def failure(outcome: Outcome) -> AttemptFailure:
    """Return the reply for a failed attempt, after which another one may follow."""
    return AttemptFailure(
        attempt=outcome.attempt,
        max_attempts=outcome.max_attempts,
        retry_in_ms=outcome.retry_in_ms,
        message=(outcome.error_message or "failed")[:MESSAGE_CHARS],
    )


def given_up(step: LockedStep) -> AttemptFailure:
    """Return the reply for a step that has failed for good."""
    return AttemptFailure(
        attempt=step.attempt,
        max_attempts=step.max_attempts,
        retry_in_ms=None,
        message=(step.error_message or "failed")[:MESSAGE_CHARS],
    )


def unknown_step(fence: Fence, path: str) -> Refusal:
    """Return the reply for a path that the run does not have."""
    return Refusal(reason="unknown", message=f"Run {fence.run_id} has no step {path}.")
