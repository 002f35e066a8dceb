"""Execute the commands that nobody has executed: joined emits, crashes, Temporal away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import PulseError
from pulse_temporal.failpoints import reach
from pulse_temporal.notices import Repeats
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.definitions.schedules import AT_ONCE
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.services.outbox.turns import Turns
from pulse_temporal.store import outbox
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import OutboxCommand, Subject

log: logging.Logger = logging.getLogger(__name__)

BATCH = 100
"""Commands about runs that a relay leases together."""

LEASE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(seconds=5)
BATCHES: dict[Subject, int] = {"runs": BATCH, "schedules": AT_ONCE}


class Relay:
    """Looks at the outbox again and again; every worker process has one for each subject.

    What it leases about runs waits in the dispatcher for its tenant's turn, as starts of this
    process's emits do. A tenant of whom enough waits there has no turn here, and keeps none from
    another.

    Several relays share the work: a command is leased before it is executed, and a lease
    that runs out (its relay died) lets another relay take the command. Schedules have a relay
    of their own, because a batch ends with its slowest command and runs must not wait for them.
    In each batch every tenant with due commands has an equal share, as far as there is room.
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
        self.turns = Turns(BATCHES[subject])
        self._wake = asyncio.Event()
        self._repeats = Repeats()

    def nudge(self) -> None:
        """Let the next look come at once: a command has just been written."""
        self._wake.set()

    def begin(self) -> None:
        """Move into the running event loop, which may be another one than last time."""
        self._wake = asyncio.Event()
        self.turns: Turns = Turns(self.turns.batch)

    async def run(self) -> None:
        """Do rounds until canceled; failures lengthen the pause between them."""
        pause = self.options.relay_interval
        while True:
            try:
                worked = await self.tick()
                pause = self.options.relay_interval
                if self._repeats.is_over():
                    log.info("The outbox of %s is in reach again.", self.subject)
            except PulseError as error:
                worked = 0
                pause = min(pause * 2, LONGEST_PAUSE)
                self._tell(error)
            # A full batch may have left others behind: the next look comes without a pause.
            if not worked or not self.turns.more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause.total_seconds())
            # Before the look and not after it: a nudge that comes while the look is under way is
            # about a command that this look may have missed.
            self._wake.clear()

    def _tell(self, error: PulseError) -> None:
        """Warn that nothing starts; of the same cause only after growing pauses."""
        facts = {"subject": self.subject, "error": str(error)}
        if self._repeats.is_due(f"{error}"):
            log.warning(
                "The outbox of %(subject)s is out of reach, and what is in it waits: %(error)s",
                facts,
                extra=facts,
            )

    async def tick(self) -> int:
        """Lease and hand on one batch; return how many commands it took (0 to ``BATCHES``)."""
        if self.dispatcher.client is None:
            return 0
        # What finds no room here would wait in this process until its lease ends, though another
        # process could start it now.
        if self.subject == "runs" and self.dispatcher.starts.room < self.turns.batch:
            return 0
        turns, now = self.turns, asyncio.get_running_loop().time()
        async with self.database.session() as session:
            is_slow = turns.is_slow(now, interval=self.options.relay_interval)
            turns.mark(await outbox.newest(session) if is_slow else None, now=now)
            look = self._lease if turns.is_full_look_due(now) else self._lease_new
            commands = await look(session, began=now)
        # The lease is committed: whoever dies from here on leaves rows that come again when it
        # ends (tests/faults/test_fair_starts.py).
        if commands:
            await reach("relay.after_lease")
            await self.dispatcher.execute(commands, until=now + LEASE.total_seconds())
        return len(commands)

    async def _lease(self, session: Session, *, began: float) -> list[OutboxCommand]:
        """Lease whatever is due."""
        passed_over = self._passed_over()
        leased = await outbox.lease(
            session,
            self.subject,
            task_queue=self.options.task_queue,
            length=LEASE,
            limit=self.turns.batch,
            after=self.turns.after,
            passed_over=passed_over,
        )
        now = asyncio.get_running_loop().time()
        self.turns.looked_at_all(leased, began=began, now=now, passed_over=passed_over)
        return leased

    async def _lease_new(self, session: Session, *, began: float) -> list[OutboxCommand]:
        """Lease what has come since the last full look, and what that one has left."""
        queue, turns = self.options.task_queue, self.turns
        since = turns.seen() or 0
        turns.welcome(await outbox.newcomers(session, self.subject, task_queue=queue, since=since))
        chosen, share = turns.next(self._passed_over())
        if not chosen:
            turns.looked_at_new(chosen, [], began=began)
            return []
        leased = await outbox.lease_new(
            session, self.subject, task_queue=queue, length=LEASE, share=share, turns=chosen
        )
        turns.looked_at_new(chosen, leased, began=began)
        return leased

    def _passed_over(self) -> list[str]:
        """Return the tenants of whom enough starts wait here; a schedule waits for no start."""
        return self.dispatcher.starts.full_lines() if self.subject == "runs" else []
