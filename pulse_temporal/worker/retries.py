"""Ask Postgres again when one connection was cut, which need not mean that the server is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pulse_temporal.errors import StoreError

TRIES = 3
PAUSE = timedelta(milliseconds=100)
AT_ONCE = timedelta(seconds=1)
"""When failing takes longer, the server is silent. Asking again would multiply the time after
which callers are promised an error."""


async def ask_again(ask: Callable[[], Awaitable[None]]) -> None:
    """Ask up to three times, 0.1 s apart, but not again when a second has passed.

    Raises:
        StoreError: The error of the last try.
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
