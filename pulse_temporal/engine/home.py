"""The event loop in which an engine works for threads that wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pulse_temporal.errors import ConfigurationError
from pulse_temporal.handlers.threads import LoopThread, refuse_event_loop, run_on_loop
from pulse_temporal.postgres.joining import from_sql
from pulse_temporal.worker.process import Process

Answer = TypeVar("Answer")

INSTEAD = "Await the engine's own method instead of the one of engine.blocking."


class HomeLoop:
    """Runs async code where the engine was started, else in a thread of its own.

    Args:
        process: Knows the event loop of a started engine.
        table_prefix: Of the engine, for advice.
    """

    def __init__(self, process: Process, *, table_prefix: str) -> None:
        self._process = process
        self._table_prefix = table_prefix
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()

    def call(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run async code and wait for what it gives.

        Raises:
            ConfigurationError: An event loop runs in this thread, or the process was forked.
        """
        refuse_event_loop(instead=INSTEAD)
        return run_on_loop(self._loop(), work, instead=INSTEAD)

    def refuse(self, connection: object) -> None:
        """Refuse to join a transaction of the caller: asyncpg's connections are of their loop.

        Raises:
            ConfigurationError: A connection was given.
        """
        if connection is not None:
            way = from_sql(prefix=self._table_prefix)
            raise ConfigurationError(
                "engine.blocking emits in a transaction of its own, and takes no connection. "
                f"Pass {way}."
            )

    def close(self) -> None:
        """End the thread, if there is one; the next call begins another."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the engine runs in, else that of the background thread."""
        with self._lock:
            if self._thread is not None and not self._thread.is_alive:
                raise ConfigurationError(
                    "engine.blocking was used before this process was forked. Use it for the "
                    "first time after the fork, in each process."
                )
            running = self._process.loop
            if running is not None:
                return running
            if self._thread is None:
                self._thread = LoopThread()
            return self._thread.loop
