"""Bound how far the starts of a process may be ahead of the workers, by what the workers show.

What has been started and not begun waits in Temporal and in the workers, first come, first
served. Nobody's turn counts there, so only a few runs may be there at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from pulse_temporal.store.outbox import StartedRun

FIRST_SIZE = 8.0
LEAST_SIZE = 2.0
LARGEST_SIZE = 256.0

MOST_NOT_BEGUN = 24
"""Runs that Temporal has and no worker has begun; a worker takes them in without a wait."""

PROMPT_S = 0.15
"""A run that takes longer to begin found a queue before it, wherever the servers are."""

LEAST_PROMPT_S = 0.05
"""A run that begins within that found no queue before it."""

MEMORY_S = 30.0
"""The quickest beginning is remembered for so long at least, and for twice as long at most."""

GROWTH = 2.0
"""Runs that a full window grows by while as many begin promptly as it holds.

Before the first queue is met it doubles instead. More would pass far beyond what the workers take
in at every turn, and who emits then waits for it; less gives away what workers could do after a
pause (``make bench ARGS='--only fairness'``).
"""

SHRINKING = 0.7

PATIENCE_S = 3.0
"""A run is ahead so long at most: retries, blocked steps and missing workers hold up no start."""


@dataclass(slots=True)
class _Ahead:
    """A run that is ahead, or has ended here and is still to be asked how soon it had begun.

    Attributes:
        since: When Temporal had it, by the clock of the event loop; None: not yet.
        has_begun: It was seen to have begun.
        is_over: It has ended in this process, so it is no longer ahead.
    """

    since: float | None = None
    has_begun: bool = False
    is_over: bool = False


class Quickest:
    """The least time that a run took to begin, of those of the last minute or less."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._now = self._before = float("inf")

    @property
    def seconds(self) -> float:
        """Return it; infinity while nothing is known."""
        return min(self._now, self._before)

    def note(self, seconds: float, *, now: float) -> None:
        """Learn how long a run took to begin."""
        if now - self._since >= MEMORY_S:
            self._since, self._before, self._now = now, self._now, float("inf")
        self._now = min(self._now, seconds)


class Window:
    """The runs that are ahead, and how many there may be.

    A run is *ahead* from the moment its start is taken up until it is at rest, and for
    ``PATIENCE_S`` at most. Runs that end in this process say so themselves; how all others stand,
    and how soon each had begun, is asked now and then.

    The size follows the workers as a congestion window follows a network: runs that begin
    promptly let it grow when it was full, quickly until a queue is met and by ``GROWTH`` from
    then on; one that does not lets it shrink, at most once for all that were started before it
    had shrunk. So it fits workers of any size and handlers of any
    length, and nobody has to choose a number.

    Attributes:
        size: How many runs may be ahead.
    """

    def __init__(self) -> None:
        self.size = FIRST_SIZE
        self._ahead: dict[str, _Ahead] = {}
        self._shrunk_at = float("-inf")
        self._quickest = Quickest()
        self._was_full = False  # at some moment since the last look
        self._has_room = asyncio.Event()
        self._has_some = asyncio.Event()
        self._note()

    def __len__(self) -> int:
        """Return how many runs are ahead."""
        return sum(1 for ahead in self._ahead.values() if not ahead.is_over)

    @property
    def has_room(self) -> bool:
        """Whether another run may be started."""
        return self._has_room.is_set()

    async def wait_for_room(self) -> None:
        """Return when another run may be started."""
        await self._has_room.wait()

    async def wait_for_some(self) -> None:
        """Return when a run is ahead."""
        await self._has_some.wait()

    @property
    def is_half_full(self) -> bool:
        """Whether it matters soon that a run is no longer ahead."""
        return len(self) * 2 >= self.size

    def enter(self, run_id: str) -> None:
        """Take up a run's start."""
        self._ahead[run_id] = _Ahead()
        self._note()

    def started(self, run_id: str, *, now: float) -> None:
        """Note that Temporal has the run."""
        if ahead := self._ahead.get(run_id):
            ahead.since = now

    def leave(self, run_id: str) -> None:
        """Note that a run is not ahead: it was not started, or there was nothing to start."""
        self._ahead.pop(run_id, None)
        self._note()

    def end(self, run_id: str) -> None:
        """Note that a run has ended in this process."""
        ahead = self._ahead.get(run_id)
        if ahead is None:
            return
        ahead.is_over = True
        if ahead.has_begun:
            del self._ahead[run_id]
        self._note()

    def unknown(self) -> list[str]:
        """Return the runs to ask about: those that Temporal has."""
        return [run_id for run_id, ahead in self._ahead.items() if ahead.since is not None]

    def look(self, standings: Iterable[StartedRun], *, now: float) -> None:
        """Learn how runs stand that are ahead."""
        was_full, self._was_full = self._was_full, False
        for standing in standings:
            ahead = self._ahead.get(standing.run_id)
            if ahead is None or ahead.since is None:
                continue
            if not ahead.has_begun:
                ahead.has_begun = True
                waited = max(0.0, now - standing.begun_for_s - ahead.since)
                self._quickest.note(waited, now=now)
                if waited > self._prompt_s:
                    self._shrink(since=ahead.since, now=now)
                elif was_full:
                    self._grow()
            if standing.is_at_rest or ahead.is_over:
                del self._ahead[standing.run_id]
        self._give_up(now)
        self._note()

    @property
    def _prompt_s(self) -> float:
        """Seconds within which a run begins that found no queue before it.

        Twice what the quickest took: without a queue, most take longer than that one. So a queue
        of some milliseconds is noticed where the servers are near, and distance is none.
        """
        return min(PROMPT_S, max(LEAST_PROMPT_S, 2 * self._quickest.seconds))

    def _give_up(self, now: float) -> None:
        """Let go of the runs that have been ahead for long."""
        for run_id, ahead in list(self._ahead.items()):
            if ahead.since is not None and now - ahead.since >= PATIENCE_S:
                del self._ahead[run_id]
                if not ahead.has_begun and not ahead.is_over:
                    self._shrink(since=ahead.since, now=now)

    def _grow(self) -> None:
        """Grow by the share of one run that has begun promptly."""
        has_met_a_queue = self._shrunk_at > float("-inf")
        step = GROWTH / self.size if has_met_a_queue else 1.0
        self.size: float = min(LARGEST_SIZE, self.size + step)

    def _shrink(self, *, since: float, now: float) -> None:
        """Shrink, unless that run was started before the window shrank last."""
        if since > self._shrunk_at:
            self.size = max(LEAST_SIZE, self.size * SHRINKING)
            self._shrunk_at = now

    def _note(self) -> None:
        ahead = [each for each in self._ahead.values() if not each.is_over]
        not_begun = sum(1 for each in ahead if not each.has_begun)
        is_full = len(ahead) >= int(self.size)
        self._was_full = self._was_full or is_full
        _set(self._has_room, not is_full and not_begun < MOST_NOT_BEGUN)
        _set(self._has_some, bool(self._ahead))


def _set(event: asyncio.Event, is_set: bool) -> None:
    if is_set:
        event.set()
    else:
        event.clear()
