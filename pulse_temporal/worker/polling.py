"""Poll Temporal for tasks while the gate is open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import timedelta

from temporalio.worker import Worker

from pulse_temporal.activities.handover import Handover
from pulse_temporal.worker.gate import TaskGate

CLEAN_UP = timedelta(seconds=15)
"""How long the handlers that were cut off, and then the SDK's worker, may take to end."""


class Polling:
    """Keeps one worker polling while the gate is open.

    The SDK's workers cannot pause. So one is shut down when the gate closes, which ends its polls
    at once while its handlers go on. Another one is made when the gate opens again.

    A custom slot supplier that waits for the gate would need no second worker, but the SDK calls
    it in Python for every task: a sixth fewer runs a second.

    Args:
        make: Returns a new worker.
        gate: Of the process.
        handover: Cuts off the deliveries that outlast the grace.
        grace: How long handlers may go on when the process stops.
        left_patience: How long to wait for a canceled worker before it is canceled again.
    """

    def __init__(
        self,
        make: Callable[[], Worker],
        gate: TaskGate,
        handover: Handover,
        *,
        grace: timedelta,
        left_patience: timedelta = timedelta(seconds=2),
    ) -> None:
        self._make = make
        self._gate = gate
        self._handover = handover
        self._grace = grace
        self._left_patience = left_patience
        self._ending = asyncio.Event()
        self._prepared: Worker | None = None
        self._running: dict[Worker, asyncio.Task[None]] = {}
        self._shutdowns: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Make the first worker, so that its options are refused at the start, not later.

        Raises:
            ConfigurationError: The SDK, or a plugin of the client, refuses it.
        """
        self._prepared = self._make()

    async def run(self) -> None:
        """Poll until ``end`` is called, then until all workers have ended.

        Raises:
            Exception: The error that the worker has failed with.
        """
        try:
            while not self._ending.is_set():
                await _first(self._gate.wait_open, self._ending.wait)
                if not self._ending.is_set():
                    await self._poll()
            if self._running:
                await asyncio.wait(self._running.values())
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def end(self) -> None:
        """End all polls, and hand over the deliveries that are not done within the grace.

        Raises:
            TimeoutError: A worker did not end even after its deliveries were cut off.
        """
        self._ending.set()
        ends = {self._shut_down(worker) for worker in self._running}
        if not ends:
            return
        _, late = await asyncio.wait(ends, timeout=self._grace.total_seconds())
        if not late:
            return
        self._handover.cut()
        _, late = await asyncio.wait(late, timeout=CLEAN_UP.total_seconds())
        if late:
            raise TimeoutError

    async def _poll(self) -> None:
        """Poll with one worker until the gate closes or ``end`` is called.

        Returns while the worker's handlers still run: they hold back neither the next worker nor
        the gate.
        """
        worker, self._prepared = self._prepared or self._make(), None
        running = self._running[worker] = asyncio.ensure_future(worker.run())
        running.add_done_callback(lambda _: self._running.pop(worker, None))
        await _first(self._gate.wait_closed, self._ending.wait, also=running)
        if running.done():  # nobody has shut it down, so it has failed
            running.result()
        self._shut_down(worker)

    def _shut_down(self, worker: Worker) -> asyncio.Task[None]:
        """Make a worker end its polls now; return a task that ends when its handlers have.

        asyncio keeps only weak references to tasks, hence the set. The SDK allows any number of
        shutdowns of one worker.
        """
        shutdown = asyncio.ensure_future(worker.shutdown())
        self._shutdowns.add(shutdown)
        shutdown.add_done_callback(self._shutdowns.discard)
        return shutdown

    async def _abandon(self) -> None:
        """Cancel the workers until they end, when the event loop ends without ``stop()``.

        ``asyncio.run`` then also cancels the tasks inside a worker, while its part in Rust waits
        for their answers; ``asyncio.run`` would wait for it for ever. It cancels this task
        twice, itself and through the task group, so the work is done in another task
        (``tests/unit/test_polling.py``).
        """
        abandoning = asyncio.ensure_future(self._cancel_workers())
        while not abandoning.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({abandoning})
        abandoning.result()

    async def _cancel_workers(self) -> None:
        left = set(self._running.values())
        while left:
            for running in left:
                running.cancel()
            ended, left = await asyncio.wait(left, timeout=self._left_patience.total_seconds())
            for running in ended:
                if not running.cancelled():
                    running.exception()  # or asyncio logs that nobody has looked at it


async def _first(
    *waits: Callable[[], Coroutine[object, object, object]],
    also: asyncio.Task[None] | None = None,
) -> None:
    """Return when the first of the waits is over, or the task ``also`` has ended.

    The other waits are canceled, ``also`` is not.
    """
    waiting = {asyncio.ensure_future(wait()) for wait in waits}
    try:
        await asyncio.wait(
            [*waiting, also] if also else waiting, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for each in waiting:
            each.cancel()
