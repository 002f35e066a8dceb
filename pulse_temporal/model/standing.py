"""Describe how far a run has come, in one sentence, for the message of a timeout."""

from __future__ import annotations

from collections.abc import Sequence

from pulse_temporal.model.runs import WorkflowRun, WorkflowStepRun

MOST_STEPS = 3


def standing(run: WorkflowRun | None, steps: Sequence[WorkflowStepRun]) -> str:
    """Return the status of a run and what its first three open steps wait for, as a sentence.

    Args:
        run: None when no run with this id is stored.
        steps: Its step runs, in document order.
    """
    if run is None:
        return "no run of this id is stored; the transaction that plans it may not have committed"
    if run.status == "pending" and not any(step.blocked_reason for step in steps):
        return "it is 'pending': its workflow has not begun; it needs a worker and Temporal"
    at_work = [step for step in steps if _is_at_work(step)]
    told = [_step(step) for step in at_work[:MOST_STEPS]]
    if len(at_work) > MOST_STEPS:
        told.append(f"and {len(at_work) - MOST_STEPS} more")
    return f"it is {run.status!r}" + (f": {'; '.join(told)}" if told else "")


def _is_at_work(step: WorkflowStepRun) -> bool:
    """Return whether a step is at work or waits; a parallel step is told by those within it."""
    if step.step_type == "parallel":
        return False
    return step.status in ("running", "scheduled") or step.blocked_reason is not None


def _step(step: WorkflowStepRun) -> str:
    text = f"step {step.path} {step.step_name!r}"
    if step.blocked_reason is not None:
        return f"{text} cannot start: {step.blocked_reason}"
    if step.step_type == "delay" and step.scheduled_for is not None:
        return f"{text} ends {step.scheduled_for:%Y-%m-%d %H:%M:%S} UTC"
    attempt = f"attempt {step.attempt} of {step.max_attempts}"
    if step.status == "running":
        return f"{text} is at work, {attempt}"
    if step.next_attempt_at is not None:
        return f"{text} waits for its next attempt after {attempt}: {step.error_message}"
    return f"{text} waits for a worker after {attempt}"
