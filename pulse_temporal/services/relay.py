"""Execute the commands that nobody has executed: joined emits, crashes, Temporal away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import PulseError
from pulse_temporal.failpoints import reach
from pulse_temporal.services.dispatch import BATCH, Dispatcher
from pulse_temporal.services.schedules import AT_ONCE
from pulse_temporal.store import outbox
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import Subject

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(seconds=5)
BATCHES: dict[Subject, int] = {"runs": BATCH, "schedules": AT_ONCE}


class Relay:
    """Looks at the outbox again and again; every worker process has one for each subject.

    Several relays share the work: a command is leased before it is executed, and a lease
    that runs out (its relay died) lets another relay take the command. Schedules have a relay
    of their own, because a batch ends with its slowest command and runs must not wait for them.
    """

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        options: EngineOptions,
        *,
        subject: Subject,
    ) -> None:
        self.database = database
        self.dispatcher = dispatcher
        self.options = options
        self.subject: Subject = subject
        self.batch = BATCHES[subject]
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """Let the next look come at once: a command has just been written."""
        self._wake.set()

    def begin(self) -> None:
        """Move into the running event loop, which may be another one than last time."""
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Do rounds until canceled; failures lengthen the pause between them."""
        pause = self.options.relay_interval
        while True:
            try:
                worked = await self.tick()
                pause = self.options.relay_interval
            except PulseError as error:
                worked = 0
                pause = min(pause * 2, LONGEST_PAUSE)
                log.warning("the outbox is out of reach", extra={"error": str(error)})
            if worked < self.batch:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause.total_seconds())
            self._wake.clear()

    async def tick(self) -> int:
        """Lease and execute one batch; give how many commands it took (0 to ``batch``)."""
        if self.dispatcher.client is None:
            return 0
        async with self.database.session() as session:
            commands = await outbox.lease(
                session,
                self.subject,
                task_queue=self.options.task_queue,
                length=LEASE,
                limit=self.batch,
            )
        if commands:
            await reach("relay.after_lease")
            await self.dispatcher.execute(commands)
        return len(commands)
