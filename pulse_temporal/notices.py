"""Log a condition that repeats once, and then only after growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Lock

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)
MOST_CONDITIONS = 1_000


class Repeats:
    """Decides whether a condition that repeats is logged again.

    Each condition has pauses of its own; otherwise two that alternate would both be logged every
    time. Beyond 1 000 conditions, such as errors with an id in their text, the one that was
    logged longest ago is forgotten. Safe to use from any thread.

    Args:
        seconds: Monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._told: dict[str, tuple[float, timedelta]] = {}

    def is_due(self, condition: str = "") -> bool:
        """Return whether to log a condition now: a new one at once, others after their pause."""
        now = self._seconds()
        with self._lock:
            due, pause = self._told.get(condition, (now, FIRST_PAUSE / 2))
            if now < due:
                return False
            pause = min(pause * 2, LONGEST_PAUSE)
            self._told.pop(condition, None)  # put back at the end: the first is the oldest
            self._told[condition] = (now + pause.total_seconds(), pause)
            if len(self._told) > MOST_CONDITIONS:
                del self._told[next(iter(self._told))]
        return True

    def is_over(self) -> bool:
        """Forget all conditions, as none holds any more; return whether one had been logged."""
        with self._lock:
            was_told = bool(self._told)
            self._told.clear()
        return was_told
