"""Tell who watches a run that it has changed: one poller serves all watchers of a process.

Nothing is asked while nobody watches, and whoever writes is not slowed down by being watched.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.plain import UNSAFE, cut_repr
from pulse_temporal.notices import Repeats
from pulse_temporal.store import feed
from pulse_temporal.store.database import Database
from pulse_temporal.store.feed import RunState, RunToWatch

log = logging.getLogger(__name__)

LOOK_EVERY = timedelta(milliseconds=150)


class RunWatch:
    """One watcher of one run."""

    def __init__(self) -> None:
        self.is_closed = False
        self._news = asyncio.Event()

    async def news(self, *, within: timedelta) -> bool:
        """Wait for a change, or for so long; return False when the feed has been closed."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        return not self.is_closed

    def wake(self) -> None:
        """End the wait."""
        self._news.set()

    def close(self) -> None:
        """End the wait, and every later one."""
        self.is_closed = True
        self._news.set()


class RunFeed:
    """Looks at the runs that somebody watches, with one statement a round for all of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._watches: dict[RunToWatch, set[RunWatch]] = defaultdict(set)
        self._seen: dict[RunToWatch, RunState] = {}
        self._poller: asyncio.Future[None] | None = None
        self._repeats = Repeats()

    @contextmanager
    def watch(self, run_id: str, *, tenant_id: str | None) -> Generator[RunWatch]:
        """RunWatch a run until the block ends.

        Raises:
            NotFoundError: No run can have this id.
        """
        if not run_id or UNSAFE.search(run_id):  # would fail the statement of all watchers
            raise NotFoundError(f"There is no run {cut_repr(run_id)[:100]}; ids are text.")
        watched, watch = RunToWatch(run_id, tenant_id), RunWatch()
        self._watches[watched].add(watch)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.ensure_future(self._poll())
        try:
            yield watch
        finally:
            self._watches[watched].discard(watch)
            if not self._watches[watched]:
                del self._watches[watched]
                self._seen.pop(watched, None)

    async def close(self) -> None:
        """Stop looking; whoever still watches is told that nothing comes any more."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.wait({poller})
        for watches in self._watches.values():
            for watch in watches:
                watch.close()

    async def _poll(self) -> None:
        while self._watches:
            try:
                await self.tick()
                self._repeats.is_over()
            except Exception as error:  # noqa: BLE001 - all watchers depend on this loop
                self._tell(error)
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def tick(self) -> int:
        """Look once at all watched runs; return how many have changed."""
        if not self._watches:
            return 0
        async with self.database.session() as session:
            found = await feed.states(session, list(self._watches))
        changed = [run for run, state in found.items() if self._seen.get(run) != state]
        for run in changed:
            watches = self._watches.get(run, ())  # nobody, when the last one has left meanwhile
            if watches:
                self._seen[run] = found[run]
            for watch in watches:
                watch.wake()
        return len(changed)

    def _tell(self, error: Exception) -> None:
        """Warn that no change is seen; of the same cause only after growing pauses."""
        facts = {"runs": len(self._watches), "error": str(error) or type(error).__name__}
        if self._repeats.is_due(f"{error!r}"):
            log.warning(
                "Postgres does not say whether the %(runs)d runs that are watched have changed:"
                " %(error)s",
                facts,
                extra=facts,
            )
