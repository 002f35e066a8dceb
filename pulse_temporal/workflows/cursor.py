"""Decide what a list of steps does next: pure functions, tested without a server.

A new kind of step is a model, an entry in ``next_command`` and at most one activity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from pulse_temporal.contract import StepSkeleton
from pulse_temporal.model.commands import Call, Command, FanOut, Finish, Progress, Wait


def resume(ranges: Iterable[tuple[int, int]]) -> Progress:
    """Return the progress of a list of which some steps have ended before.

    Args:
        ranges: Indexes of ended steps, both ends included.
    """
    return Progress().end(index for first, last in ranges for index in range(first, last + 1))


def next_command(steps: Sequence[StepSkeleton], progress: Progress) -> Command:
    """Return what to do next in a list of steps."""
    index = progress.index
    if index >= len(steps):
        return Finish()
    kind = steps[index].type
    match kind:
        case "action" | "condition":
            return Call(index)
        case "delay":
            return Wait(index)
        case "parallel":
            return FanOut(index)
        case _:
            assert_never(kind)


def skipped_after(steps: Sequence[StepSkeleton], index: int, *, answer: bool | None) -> range:
    """Return which siblings an answer passes over: none, the next ones, or all that follow.

    A parallel step counts as one; more than there are means to the end of the list.

    Args:
        steps: The list that the step lives in.
        index: The step that was called.
        answer: What a condition said; None for an action.
    """
    if answer is not False:
        return range(0)
    on_false = steps[index].on_false
    if on_false == "complete":
        return range(index + 1, len(steps))
    count = 1 if on_false == "skip" else on_false
    return range(index + 1, min(index + 1 + count, len(steps)))
