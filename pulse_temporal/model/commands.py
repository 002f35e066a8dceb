"""How far a list of steps has come, and the commands that may follow.

Plain values, without a call to Temporal: the cursor decides with them, and tests compare them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a list of steps has come.

    Attributes:
        ended: Indexes after ``index`` of steps that are already completed or skipped.
        index: The first step that has not ended.
    """

    ended: frozenset[int] = frozenset()
    index: int = 0

    def end(self, indexes: Iterable[int]) -> Progress:
        """Return the progress after these steps have ended too."""
        ended = self.ended.union(indexes)
        index = self.index
        while index in ended:
            index += 1
        return Progress(frozenset(other for other in ended if other > index), index)


@dataclass(frozen=True, slots=True)
class Call:
    """Call the handler of an action or a condition."""

    index: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a delay."""

    index: int


@dataclass(frozen=True, slots=True)
class FanOut:
    """Run the branches of a parallel step and wait for all of them."""

    index: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do in this list."""


Command = Call | Wait | FanOut | Finish
