"""Repeat what may be repeated while Postgres is away for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from pulse_temporal.errors import ConfigurationError, NotUnderstoodError, StoreError

Result = TypeVar("Result")

ROUNDS = 6
FIRST_PAUSE = timedelta(milliseconds=250)


async def patiently(work: Callable[[], Awaitable[Result]]) -> Result:
    """Return what the work returns; it is repeated after errors of the store that may pass.

    Raises:
        StoreError: It still fails after about eight seconds of pauses.
    """
    for round_ in range(ROUNDS - 1):
        try:
            return await work()
        except StoreError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(FIRST_PAUSE.total_seconds() * 2**round_)
    return await work()


@contextmanager
def doubting(doubt: Callable[[], None]) -> Generator[None]:
    """Report what the block raises when it may mean that this worker has lost Postgres."""
    try:
        yield
    except NotUnderstoodError:  # Postgres has answered
        raise
    except (StoreError, ConfigurationError):  # the latter for a password that was changed
        doubt()
        raise
