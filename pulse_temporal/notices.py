"""Say a condition that repeats once, and then with growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)


class Repeats:
    """Decides when a condition that repeats is worth another line in the log.

    Args:
        seconds: Clock that never goes back.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._condition: str | None = None
        self._due = 0.0
        self._pause = FIRST_PAUSE

    def is_due(self, condition: str = "") -> bool:
        """Say whether to tell of a condition now; another one than last time is told at once."""
        now = self._seconds()
        if condition == self._condition and now < self._due:
            return False
        is_same = condition == self._condition
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if is_same else FIRST_PAUSE
        self._condition, self._due = condition, now + self._pause.total_seconds()
        return True

    def is_over(self) -> bool:
        """Note that the condition does not hold any more; True: it had been told."""
        was_told, self._condition = self._condition is not None, None
        return was_told
