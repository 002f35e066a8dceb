"""Say what a run waits for: pure decisions, so that time is moved only when all work rests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pulse_temporal.model.paths import branch_prefix_of, path_numbers
from pulse_temporal.model.runs import WorkflowStepRun

ENDED = frozenset({"completed", "skipped"})


def sleeping_steps(steps: Sequence[WorkflowStepRun]) -> list[WorkflowStepRun] | None:
    """Return the steps for which an open run waits: delays, and actions before their next attempt.

    Args:
        steps: All step runs of a run that is not over.

    Returns:
        None while something else is to be done: a handler, a join, the end of the run.
    """
    lists: dict[str, list[WorkflowStepRun]] = defaultdict(list)
    for step in sorted(steps, key=_position):
        lists[branch_prefix_of(step.path)].append(step)
    found = _sleeping(lists, "")
    return found or None


def _position(step: WorkflowStepRun) -> list[int]:
    return path_numbers(step.path)


def _sleeping(
    lists: dict[str, list[WorkflowStepRun]], prefix: str
) -> list[WorkflowStepRun] | None:
    """Look at one list of steps: an empty answer means that the list is over."""
    front = next((step for step in lists[prefix] if step.status not in ENDED), None)
    if front is None or front.status == "failed":
        return []
    if front.step_type == "parallel":
        return _sleeping_below(lists, front) if front.status == "running" else None
    waits = front.scheduled_for if front.step_type == "delay" else front.next_attempt_at
    return [front] if front.status == "scheduled" and waits is not None else None


def _sleeping_below(
    lists: dict[str, list[WorkflowStepRun]], block: WorkflowStepRun
) -> list[WorkflowStepRun] | None:
    """Look at the branches of a parallel step; when all are over, its join is to be done."""
    sleeping: list[WorkflowStepRun] = []
    branches = [prefix for prefix in lists if prefix.rpartition("/")[0] == block.path]
    for prefix in branches:
        found = _sleeping(lists, prefix)
        if found is None:
            return None
        sleeping += found
    return sleeping or None
