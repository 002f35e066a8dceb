"""What has become of an attempt that keeps its step running. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pulse_temporal.store.steps import LockedStep

RunningVerdict: TypeAlias = Literal[
    "at work", "lost", "lost too often", "timed out", "timed out for good"
]


def judge_running(step: LockedStep, *, max_lost_workers: int) -> RunningVerdict:
    """Decide what has become of the attempt that keeps a step running.

    | its worker | attempts | verdict |
    |---|---|---|
    | lives, and has let the deadline pass | one is left | timed out |
    | lives, and has let the deadline pass | none is left | timed out for good |
    | says that it is at work, though its event loop stands still | any | at work |
    | is gone, or has closed the attempt itself | fewer lost than the limit | lost |
    | is gone, or has closed the attempt itself | as many lost as the limit | lost too often |

    A lost worker costs no attempt, because the handler may not have run at all. Without a limit,
    a handler that kills its process would be delivered for ever.

    Args:
        step: Its status is ``running``.
        max_lost_workers: The limit, of the present generation.
    """
    if step.open_claim is not None and step.holder_is_alive:
        return "timed out" if step.attempt < step.max_attempts else "timed out for good"
    if step.is_held:
        return "at work"
    return "lost" if step.lost_now < max_lost_workers else "lost too often"
