"""Wait for runs to end: one poller serves all waiters of a process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta

from pulse_temporal.errors import NotFoundError, PulseError
from pulse_temporal.model.plain import UNSAFE
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.store import runs
from pulse_temporal.store.database import Database

SHORTEST_PAUSE = timedelta(milliseconds=10)
LONGEST_PAUSE = timedelta(milliseconds=250)


class RunWaiter:
    """Lets many callers wait for runs with one query a round."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._poller: asyncio.Future[None] | None = None

    async def wait(self, run_id: str, *, seconds: float) -> None:
        """Return when the run has ended; an id that is not known yet is waited for too.

        Raises:
            NotFoundError: No run can have this id.
            TimeoutError: It has not ended in time.
        """
        if UNSAFE.search(run_id):  # would fail the query of all waiters
            raise NotFoundError(f"There is no run {run_id!r}.")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[run_id].add(future)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.ensure_future(self._poll())
        try:
            async with asyncio.timeout(seconds):
                await future
        finally:
            self._waiting[run_id].discard(future)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    async def close(self) -> None:
        """Stop polling; whoever still waits is told that the engine has stopped."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.wait({poller})
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(PulseError("The engine has stopped."))

    async def _poll(self) -> None:
        pause = SHORTEST_PAUSE
        while self._waiting:
            before = set(self._waiting)
            try:
                ended = await self.tick()
            except PulseError:
                ended = 0  # Postgres is away; the waiters' own time limits hold
            news = ended > 0 or not before.issuperset(self._waiting)
            pause = SHORTEST_PAUSE if news else min(pause * 1.5, LONGEST_PAUSE)
            await asyncio.sleep(pause.total_seconds())

    async def tick(self) -> int:
        """Look once at all runs that are waited for; give how many have ended."""
        async with self.database.session() as session:
            statuses = await runs.statuses(session, list(self._waiting))
        ended = [run_id for run_id, status in statuses.items() if status in TERMINAL_RUN_STATUSES]
        for run_id in ended:
            for future in self._waiting.get(run_id, ()):
                if not future.done():
                    future.set_result(None)
        return len(ended)
