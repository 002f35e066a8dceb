"""Wait for runs to end: one poller serves all waiters of a process."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from datetime import timedelta
from math import inf

from pulse_temporal.errors import NotFoundError, PulseError
from pulse_temporal.model.plain import UNSAFE, cut_repr, spell
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.notices import Repeats
from pulse_temporal.store import runs
from pulse_temporal.store.database import Database

log: logging.Logger = logging.getLogger(__name__)

SHORTEST_PAUSE = timedelta(milliseconds=10)
LONGEST_PAUSE = timedelta(milliseconds=250)


class RunWaiter:
    """Waits for runs on behalf of many callers, with one query a round for all of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: dict[tuple[str, str | None], set[asyncio.Future[None]]] = defaultdict(set)
        self._poller: asyncio.Future[None] | None = None
        self._repeats = Repeats()

    async def wait(self, run_id: str, *, tenant_id: str | None, seconds: float) -> None:
        """Return when the run has ended; an id that is not known yet is waited for too.

        With a tenant, another tenant's run is never known.

        Raises:
            NotFoundError: No run can have this id.
            TimeoutError: It has not ended in time.
        """
        text = spell(run_id)
        if text != run_id or UNSAFE.search(text):  # would fail the query of all waiters
            raise NotFoundError(f"There is no run {cut_repr(run_id)[:100]}; ids are text.")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (run_id, tenant_id)
        self._waiting[waiter].add(future)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.ensure_future(self._poll())
        try:
            async with asyncio.timeout(None if seconds == inf else seconds):
                await future
        finally:
            self._waiting[waiter].discard(future)
            if not self._waiting[waiter]:
                del self._waiting[waiter]

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
                self._repeats.is_over()
            except Exception as error:  # noqa: BLE001 - all waiters depend on this loop
                ended = 0  # the waiters' own time limits hold
                self._tell(error)
            # A run is often waited for right after its emit, and short: quick looks first. Who
            # joins later must not inherit the long pause of somebody else's run.
            news = ended > 0 or not before.issuperset(self._waiting)
            pause = SHORTEST_PAUSE if news else min(pause * 1.5, LONGEST_PAUSE)
            await asyncio.sleep(pause.total_seconds())

    def _tell(self, error: Exception) -> None:
        """Warn that no end is seen; of the same cause only after growing pauses."""
        facts = {"runs": len(self._waiting), "error": str(error) or type(error).__name__}
        if self._repeats.is_due(f"{error!r}"):
            log.warning(
                "Postgres does not say whether the %(runs)d runs that are waited for have ended:"
                " %(error)s",
                facts,
                extra=facts,
            )

    async def tick(self) -> int:
        """Look once at all runs that are waited for; return how many have ended."""
        async with self.database.session() as session:
            known = await runs.statuses(session, [run_id for run_id, _ in self._waiting])
        ended = [run for run in known if run.status in TERMINAL_RUN_STATUSES]
        for run in ended:
            self.wake(run.run_id, tenant_id=run.tenant_id)
        return len(ended)

    def wake(self, run_id: str, *, tenant_id: str) -> None:
        """End the waits for a run that has ended; this process need not look it up then."""
        for waiter in ((run_id, None), (run_id, tenant_id)):
            for future in self._waiting.get(waiter, ()):
                if not future.done():
                    future.set_result(None)
