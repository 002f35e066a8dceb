"""Whether this process may take tasks from Temporal."""

from __future__ import annotations

import asyncio


class TaskGate:
    """Open while this process may take tasks; belongs to one event loop.

    Two events, one the opposite of the other, as asyncio can only wait for one to be set.
    """

    def __init__(self) -> None:
        self._opened, self._closed = asyncio.Event(), asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether tasks may be taken."""
        return self._opened.is_set()

    def open(self) -> None:
        """Allow the process to take tasks from now on."""
        self._closed.clear()
        self._opened.set()

    def close(self) -> None:
        """Forbid the process to take more tasks; those that it has begun go on."""
        self._opened.clear()
        self._closed.set()

    async def wait_open(self) -> None:
        """Wait until it is open; return at once when it is."""
        await self._opened.wait()

    async def wait_closed(self) -> None:
        """Wait until it is closed; return at once when it is."""
        await self._closed.wait()
