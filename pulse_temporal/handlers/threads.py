"""Call async code from a thread that has no event loop, and wait for what it gives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import wait
from datetime import timedelta
from typing import TypeVar

from pulse_temporal.errors import ConfigurationError

Answer = TypeVar("Answer")

LOOK_EVERY = timedelta(seconds=1)
"""How often a waiting thread looks whether the loop still runs."""


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
    except BaseException:  # Ctrl-C in a script must reach the work too
        future.cancel()
        raise
    return future.result()


def refuse_event_loop(*, instead: str) -> None:
    """Do nothing in a thread without an event loop.

    Raises:
        ConfigurationError: One runs here: waiting would block it, maybe for ever.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError(f"This call blocks, and an event loop runs in this thread. {instead}")


def _check_alive(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_running():
        raise _ended()


def _ended() -> ConfigurationError:
    return ConfigurationError("The event loop that this call needs has ended.")
