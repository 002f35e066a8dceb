"""Ask Postgres again when a connection was cut, which says nothing of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pulse_temporal.errors import StoreError

TRIES = 3
PAUSE = timedelta(milliseconds=100)
AT_ONCE = timedelta(seconds=1)
"""A failure that takes longer is silence, and is not asked again: callers are promised an end."""


async def ask_again(ask: Callable[[], Awaitable[None]]) -> None:
    """Ask up to three times, while Postgres fails it at once and in a way that may pass.

    Raises:
        StoreError: Of the last try.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    for number in range(1, TRIES + 1):
        try:
            await ask()
        except StoreError as error:
            is_silent = clock() - began > AT_ONCE.total_seconds()
            if not error.retryable or is_silent or number == TRIES:
                raise
        else:
            return
        await asyncio.sleep(PAUSE.total_seconds())
