"""The loops of a working process beside Temporal's worker, and what keeps each of them going."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pulse_temporal.clock import ServerClock
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import PulseError
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.services.definitions import WORKER_SILENCE
from pulse_temporal.services.dispatch import Dispatcher
from pulse_temporal.services.reconcile import Reconciler
from pulse_temporal.store import workers
from pulse_temporal.store.database import Database

log = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE = timedelta(seconds=1)
PUBLISH_INTERVAL = timedelta(seconds=5)
FORGET_AFTER = WORKER_SILENCE * 10


class Presence:
    """This process's row in the table of workers.

    Attributes:
        worker_id: Name of this process in attempts and in the table.
        clock: Set to Postgres's time whenever the row is written.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        options: EngineOptions,
        *,
        worker_id: str,
        clock: ServerClock,
    ) -> None:
        self.database = database
        self.registry = registry
        self.options = options
        self.worker_id = worker_id
        self.clock = clock
        self._is_published = False

    async def run(self) -> None:
        """Publish again and again until canceled."""
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL.total_seconds())
            try:
                await self.publish()
            except PulseError as error:
                log.warning("this worker cannot show that it lives", extra={"error": str(error)})

    async def publish(self) -> None:
        """Say that this process lives and which handlers it knows."""
        self._is_published = True  # also when the answer is lost
        async with self.database.session() as session:
            published_at = await workers.publish(
                session,
                self.worker_id,
                task_queue=self.options.task_queue,
                actions=self.registry.actions,
                conditions=self.registry.conditions,
                signals=self.registry.triggers,
            )
            self.clock.set(published_at)
            await workers.forget(session, silence=FORGET_AFTER)

    async def check_schema(self) -> None:
        """Do nothing when the tables are there.

        Raises:
            SchemaError: They are not.
        """
        async with self.database.session() as session:
            await workers.forget(session, silence=FORGET_AFTER)

    async def withdraw(self) -> None:
        """Say that this process is gone, if it ever said that it lives."""
        if self._is_published:
            async with self.database.session() as session:
                await workers.withdraw(session, self.worker_id)
            self._is_published = False


async def keep_reconciling(
    reconciler: Reconciler, dispatcher: Dispatcher, options: EngineOptions
) -> None:
    """Look now and then whether a comparison with Temporal is due, and make it."""
    while True:
        await asyncio.sleep(options.reconcile_interval.total_seconds() / 2)
        client = dispatcher.client
        if client is None:
            continue
        try:
            await reconciler.turn(client)
        except PulseError as error:
            log.warning("the mirror was not compared", extra={"error": str(error)})


async def keep_alive(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop until canceled; what it did not foresee is logged and does not end it."""
    while True:
        try:
            await loop()
        except Exception:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # an error in a clean-up hid the cancel
                raise asyncio.CancelledError from None
            log.exception("a background loop failed and starts over", extra={"loop": name})
            await asyncio.sleep(PAUSE_AFTER_FAILURE.total_seconds())
