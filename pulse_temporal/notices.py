"""Say a condition that repeats once, and then with growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Lock

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)
MOST_CONDITIONS = 1_000


class Repeats:
    """Decides when a condition that repeats is worth another line in the log.

    Each condition has pauses of its own, so that two which take turns are not told each time. The
    oldest are forgotten where there are very many. May be asked from any thread.

    Args:
        seconds: Clock that never goes back.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._told: dict[str, tuple[float, timedelta]] = {}

    def is_due(self, condition: str = "") -> bool:
        """Return whether to tell of a condition now; a new one is told at once."""
        now = self._seconds()
        with self._lock:
            due, pause = self._told.get(condition, (now, FIRST_PAUSE / 2))
            if now < due:
                return False
            pause = min(pause * 2, LONGEST_PAUSE)
            self._told.pop(condition, None)
            self._told[condition] = (now + pause.total_seconds(), pause)
            if len(self._told) > MOST_CONDITIONS:
                del self._told[next(iter(self._told))]
        return True

    def is_over(self) -> bool:
        """Note that no condition holds any more; return whether one had been told."""
        with self._lock:
            was_told = bool(self._told)
            self._told.clear()
        return was_told
