"""Whether this process may take tasks from Temporal."""

from __future__ import annotations

import asyncio


class TaskGate:
    """Open while this process may take tasks; for its event loop only."""

    def __init__(self) -> None:
        self._opened, self._closed = asyncio.Event(), asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether tasks are taken."""
        return self._opened.is_set()

    def open(self) -> None:
        """Take tasks from now on."""
        self._closed.clear()
        self._opened.set()

    def close(self) -> None:
        """Take no more tasks; what has begun goes on."""
        self._opened.clear()
        self._closed.set()

    async def wait_open(self) -> None:
        """Return when it is open."""
        await self._opened.wait()

    async def wait_closed(self) -> None:
        """Return when it is closed."""
        await self._closed.wait()
