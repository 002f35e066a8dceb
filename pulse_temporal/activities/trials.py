"""Which conditions are tried locally although they do not say how long they take."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from pulse_temporal.handlers.registry import Action, Condition

SLOW_FOR = timedelta(minutes=10)
"""How long a handler that took too long once is not tried."""


class LocalTrials:
    """Bounds trials, so that slow ones leave room for what is known to be short.

    Args:
        slots: Trials at the same time.
    """

    def __init__(self, slots: int) -> None:
        self.free = slots
        self._slow_until: dict[str, float] = {}

    @contextmanager
    def take(self, handler: Action | Condition) -> Generator[bool]:
        """Return whether a handler may be tried now; if so, it has a slot within the block."""
        now = asyncio.get_running_loop().time()
        if self.free == 0 or not handler.is_async or self._slow_until.get(handler.name, 0) > now:
            yield False
            return
        self.free -= 1
        try:
            yield True
        finally:
            self.free += 1

    def note_slow(self, handler: Action | Condition) -> None:
        """Leave a handler to the task queue for a while."""
        until = asyncio.get_running_loop().time() + SLOW_FOR.total_seconds()
        self._slow_until[handler.name] = until
