"""Show in Postgres that a worker lives; while that cannot be written, it takes no work."""

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
from pulse_temporal.services.definitions.definitions import WORKER_SILENCE
from pulse_temporal.store import workers
from pulse_temporal.store.database import Database
from pulse_temporal.worker.gate import TaskGate
from pulse_temporal.worker.retries import ask_again

log = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=5)
SHORTEST_PAUSE = timedelta(seconds=1)
FORGET_AFTER = WORKER_SILENCE * 10


class Presence:
    """Keeps a worker's row fresh, and the gate closed while that fails.

    A worker that has lost Postgres but not Temporal could do nothing with the tasks that it
    takes. It would fail them at once, and so take more of them than the workers that could.
    Whatever the reason: the network, a name that cannot be resolved, a new password, no
    connection left, a read-only replica.

    Args:
        database: Where the row is.
        registry: The handlers that are known here.
        options: Task queue.
        worker_id: Name of this process.
        clock: Set to Postgres's time whenever the row is written.

    Attributes:
        gate: Open while the row can be written.
        database_name: By which Postgres knows the database; set at the start.
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
        self.begin()

    def begin(self) -> None:
        """Get ready for a start, which may be in another event loop than the last one."""
        self.gate = TaskGate()
        self._doubted = asyncio.Event()
        self._away_since: float | None = None
        self._was_present = False
        self._repeats = Repeats()

    async def look_where(self) -> None:
        """Read which database this is; runs that start here carry its id.

        Raises:
            SchemaError: The tables are missing or older than this code.
        """
        async with self.database.session() as session:
            found = await workers.identity(session)
        self.database.id, self.database_name = found.id, found.name

    async def publish(self) -> None:
        """Write the row once.

        Raises:
            PulseError: It cannot be written.
        """
        self._is_published = True  # also when the answer is lost
        # What is doubted from here on is told by the next row.
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

    async def check_schema(self) -> None:
        """Do nothing when the tables are there.

        Raises:
            SchemaError: They are not.
        """
        async with self.database.session() as session:
            await workers.forget(session, silence=FORGET_AFTER)

    async def withdraw(self) -> None:
        """Remove the row, if it was ever written."""
        if self._is_published:
            async with self.database.session() as session:
                await workers.withdraw(session, self.worker_id)
            self._is_published = False

    def doubt(self) -> None:
        """Write the row at once, which closes the gate if it fails: Postgres has failed a task."""
        self._was_present = False
        self._doubted.set()

    async def run(self) -> None:
        """Write the row again and again, until canceled."""
        while True:
            pause = INTERVAL if self.gate.is_open else SHORTEST_PAUSE
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._doubted.wait()
            self._doubted.clear()
            if not await self.tick():
                await asyncio.sleep(SHORTEST_PAUSE.total_seconds())

    async def tick(self) -> bool:
        """Write the row, and open or close the gate; return whether it is open."""
        now = asyncio.get_running_loop().time()
        try:
            # One connection that was cut is no reason to give all work up for a moment.
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
        """Say that no work is taken: at once, and then with growing pauses."""
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
