"""The life cycle of a process: what ``start`` and ``stop`` do when they overlap.

```
stopped --start--> starting --> running --stop--> stopping --> stopped
                      |                              ^
                      +--- stop, cancel, error ------+
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from pulse_temporal.errors import ConfigurationError

State = Literal["stopped", "starting", "running", "stopping"]

REFUSALS: Mapping[State, str] = {
    "starting": "The engine is being started already, by another call of start().",
    "running": "The engine is started already.",
    "stopping": "The engine is being stopped; await stop() and start it again after that.",
}
ELSEWHERE = (
    "The engine was started in another event loop. Stop it there; from threads use"
    " engine.blocking."
)
STOPPED_EARLY = "The engine was stopped before it had started."


class Life:
    """Allows one start and one end at a time, however many callers ask or are canceled.

    The end is a task of its own: it goes on when a caller is canceled, and a second ``stop``
    waits for it instead of closing pools under handlers at work
    (``tests/integration/test_life.py``).

    Args:
        end: Ends everything that a start has begun; must cope with half a start, or none.

    Attributes:
        state: As in the drawing above.
    """

    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self.state: State = "stopped"
        self._end = end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Future[None] | None = None
        self._ending: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it was started; None while stopped or if the loop is closed."""
        self._forget_closed_loop()
        return None if self.state == "stopped" else self._loop

    async def start(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Start; if that fails, is canceled or overtaken by ``stop``, leave nothing running.

        Args:
            begin: Starts everything; canceled when the start is given up.

        Raises:
            ConfigurationError: It is not stopped, or was stopped before it had started.
        """
        self._forget_closed_loop()
        if self.state != "stopped":
            raise ConfigurationError(REFUSALS[self.state])
        self.state, self._loop = "starting", asyncio.get_running_loop()
        starting = self._starting = asyncio.ensure_future(_run(begin))
        try:
            await starting
        except asyncio.CancelledError:
            # Either stop() has canceled the start, which is an error of the order of calls, or
            # our caller is being canceled, which must pass through.
            is_overtaken = self.state != "starting" and not _is_being_canceled()
            await self._finish()
            if is_overtaken:
                raise ConfigurationError(STOPPED_EARLY) from None
            raise
        except BaseException:
            await self._finish()
            raise
        if self.state != "starting":  # stop() came after the start had ended, before we woke up
            await self._finish()
            raise ConfigurationError(STOPPED_EARLY)
        self.state = "running"

    async def stop(self) -> None:
        """End what was started; all callers wait for the same end.

        The end goes on when a caller is canceled or times out; another call waits for it.

        Raises:
            ConfigurationError: It was started in another event loop, which still exists.
        """
        self._forget_closed_loop()
        if self.state != "stopped" and self._loop is not asyncio.get_running_loop():
            raise ConfigurationError(ELSEWHERE)
        await self._finish()

    async def _finish(self) -> None:
        """Wait for the end that runs, or begin one; a cancel ends the waiting only."""
        if self._ending is None or self._ending.done():
            self._loop = asyncio.get_running_loop()
            self.state = "stopping"
            self._ending = asyncio.ensure_future(self._end_all())
        await asyncio.shield(self._ending)

    async def _end_all(self) -> None:
        try:
            starting, self._starting = self._starting, None
            if starting is not None and not starting.done():
                # First: whatever it opens after self._end() would never be closed.
                starting.cancel()
                await asyncio.wait({starting})
            await self._end()
        finally:
            self.state = "stopped"

    def _forget_closed_loop(self) -> None:
        """Count as stopped what ended with its event loop, without ``stop``.

        Its futures belong to the closed loop: awaiting them in a new one would raise.
        """
        if self._loop is not None and self._loop.is_closed():
            self.state, self._loop = "stopped", None
            self._starting = self._ending = None


async def _run(begin: Callable[[], Awaitable[None]]) -> None:
    await begin()


def _is_being_canceled() -> bool:
    """Return whether the current task itself was canceled, rather than what it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
