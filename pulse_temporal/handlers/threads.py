"""Call async code from threads that have no event loop, and wait for what it gives."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from pulse_temporal.errors import ConfigurationError

Answer = TypeVar("Answer")

LOOK_EVERY = timedelta(seconds=1)
"""How often a waiting thread looks whether the loop still runs."""

LAST_WAIT = timedelta(seconds=10)
"""How long the end of a loop may take before its thread is left to itself."""


def run_on_loop(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[Answer]], *, instead: str
) -> Answer:
    """Run async work on the loop of another thread; errors come through as they are.

    Args:
        loop: Runs in another thread.
        work: Called on the loop and awaited there.
        instead: What to do when the caller is in an event loop itself, for the error.

    Raises:
        ConfigurationError: An event loop runs in this thread, or the other one has ended.
    """
    refuse_event_loop(instead=instead)

    async def run() -> Answer:
        return await work()

    running = run()
    try:
        future = asyncio.run_coroutine_threadsafe(running, loop)
    except RuntimeError as error:
        running.close()
        raise _ended() from error
    try:
        while not wait({future}, LOOK_EVERY.total_seconds()).done:
            _check_alive(loop)
        return future.result()
    except CancelledError as error:  # what a loop that ends does to its tasks
        raise _ended() from error
    except BaseException:  # Ctrl-C in a script must reach the work too
        future.cancel()
        raise


def refuse_event_loop(*, instead: str) -> None:
    """Do nothing in a thread without an event loop.

    Raises:
        ConfigurationError: One runs here: waiting would block it, maybe for ever.
    """
    if running_loop() is not None:
        raise ConfigurationError(
            f"This call blocks, and an event loop runs in this thread. {instead}"
        )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Give the event loop that runs in this thread, if there is one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _check_alive(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_running():
        raise _ended()


def _ended() -> ConfigurationError:
    return ConfigurationError("The event loop that this call needs has ended.")


@dataclass(frozen=True, slots=True)
class _Home:
    """A running event loop, and what ends it."""

    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event


class LoopThread:
    """An event loop in a thread of its own; ends when it is closed, forgotten, or at exit.

    Attributes:
        loop: For ``run_on_loop``.
        close: Ends the loop and the thread; harmless when they have ended.
    """

    def __init__(self) -> None:
        born: Future[_Home] = Future()
        self._thread = threading.Thread(
            target=_live, args=(born,), name="pulse-blocking", daemon=True
        )
        self._thread.start()
        home = born.result()
        self.loop = home.loop
        self.close = weakref.finalize(self, _end, home, self._thread)

    @property
    def is_alive(self) -> bool:
        """Whether the loop runs; it does not in a forked copy of its process."""
        return self._thread.is_alive()


def _live(born: Future[_Home]) -> None:
    async def live() -> None:
        home = _Home(asyncio.get_running_loop(), asyncio.Event())
        born.set_result(home)
        await home.ended.wait()

    asyncio.run(live())


def _end(home: _Home, thread: threading.Thread) -> None:
    if thread.is_alive():
        home.loop.call_soon_threadsafe(home.ended.set)
        thread.join(LAST_WAIT.total_seconds())
