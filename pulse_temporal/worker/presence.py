"""Show in Postgres that a worker is alive; while it cannot write that, it takes no work."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from pulse_temporal.clock import ServerClock
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import PulseError
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.notices import Repeats
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.definitions.catalogue import registered
from pulse_temporal.services.definitions.checks import WORKER_SILENCE
from pulse_temporal.store import catalog, workers
from pulse_temporal.store.database import Database
from pulse_temporal.worker.gate import TaskGate
from pulse_temporal.worker.retries import ask_again

log: logging.Logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=5)
SHORTEST_PAUSE = timedelta(seconds=1)
FORGET_AFTER = WORKER_SILENCE * 10


class Presence:
    """Keeps a worker's row fresh, and the gate closed while that fails.

    A worker that has lost Postgres but not Temporal can only fail the tasks that it takes. As it
    fails them at once, it would even take more of them than the workers that could do them. The
    reason does not matter: the network, DNS, a changed password, no connection left, a read-only
    replica (``tests/faults/test_worker_without_postgres.py``).

    Args:
        database: Where the row is.
        registry: The handlers and signals that the row lists.
        options: Has the task queue.
        worker_id: Id of this process; key of the row.
        clock: Set to Postgres's time whenever the row is written.

    Attributes:
        gate: Open while the row can be written.
        database_name: Postgres's name of the database; set by ``look_where``.
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
        self.database_name = ""
        self._is_published = False
        self._catalogued: int | None = None
        self.begin()

    def begin(self) -> None:
        """Get ready for a start, which may be in another event loop than the last one."""
        self.gate: TaskGate = TaskGate()
        self._doubted = asyncio.Event()
        self._away_since: float | None = None
        self._was_present = False
        self._catalogued = None
        self._repeats = Repeats()

    async def look_where(self) -> None:
        """Read the id and name of the database; runs that start here carry the id.

        Raises:
            SchemaError: The tables are missing or older than this code.
        """
        async with self.database.session() as session:
            found = await workers.identity(session)
        self.database.id = found.id
        self.database_name = found.name

    async def publish(self) -> None:
        """Write the row once, and delete those of workers that have long been silent.

        Raises:
            PulseError: It cannot be written.
        """
        self._is_published = True  # before the write: it may succeed and its answer be lost
        # Before the write as well: a doubt that comes during it must show in the next row.
        was_present, self._was_present = self._was_present, True
        async with self.database.session() as session:
            published_at = await workers.publish(
                session,
                self.worker_id,
                task_queue=self.options.task_queue,
                actions=self.registry.actions,
                conditions=self.registry.conditions,
                signals=self.registry.triggers,
                was_present=was_present,
            )
            self.clock.set(published_at)
            await workers.forget(session, silence=FORGET_AFTER)
            # Again after a break too: others may have forgotten this worker, and what it knows.
            if not was_present or self._catalogued != self.registry.revision:
                await self._catalogue(session)

    async def _catalogue(self, session: Session) -> None:
        """Say what is known of the handlers and signal types."""
        revision = self.registry.revision
        await catalog.publish(
            session,
            list(registered(self.registry)),
            task_queue=self.options.task_queue,
            worker_id=self.worker_id,
        )
        self._catalogued = revision

    async def check_schema(self) -> None:
        """Check that the tables are there; an engine that only emits has no row to write.

        Raises:
            SchemaError: They are missing or older than this code.
        """
        async with self.database.session() as session:
            await workers.forget(session, silence=FORGET_AFTER)

    async def withdraw(self) -> None:
        """Delete the row, if it may have been written."""
        if self._is_published:
            async with self.database.session() as session:
                await workers.withdraw(session, self.worker_id)
            self._is_published = False

    def doubt(self) -> None:
        """Write the row now, as Postgres has failed a task; if that fails too, close the gate."""
        self._was_present = False
        self._doubted.set()

    async def run(self) -> None:
        """Write the row every 5 s, more often while that fails, until canceled."""
        while True:
            pause = INTERVAL if self.gate.is_open else SHORTEST_PAUSE
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._doubted.wait()
            self._doubted.clear()
            if not await self.tick():
                # Tasks that fail meanwhile go on to doubt; that must not make it a busy loop.
                await asyncio.sleep(SHORTEST_PAUSE.total_seconds())

    async def tick(self) -> bool:
        """Write the row, and open or close the gate; return whether it is open."""
        now = asyncio.get_running_loop().time()
        try:
            # One connection that was cut is no reason to shut the worker down for a moment.
            await ask_again(self.publish)
        except Exception as error:  # noqa: BLE001 - whatever keeps the row from being written
            self._was_present = False
            self.gate.close()
            self._complain(error, now)
            return False
        if self._away_since is not None:
            log.warning(
                "Worker %s can write to Postgres again after %.0f s and takes work.",
                self.worker_id,
                now - self._away_since,
            )
            self._away_since = None
            self._repeats.is_over()
        self.gate.open()
        return True

    def _complain(self, error: Exception, now: float) -> None:
        """Log that no work is taken: at once, and then after growing pauses."""
        if self._away_since is None:
            self._away_since = now
        if not self._repeats.is_due():
            return
        text = str(error) if isinstance(error, PulseError) else type(error).__name__
        log.error(
            "Worker %s on task queue %s takes no work: it cannot write to Postgres, for %.0f s "
            "now; what it has begun goes on, other workers take the rest: %s",
            self.worker_id,
            self.options.task_queue,
            now - self._away_since,
            text,
        )
