"""The starts that one process has leased, from their offer until their rows are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pulse_temporal.model.starts import StartableRun
from pulse_temporal.services.lines import Lines

MOST_WAITING = 1_000
"""Starts that wait in a process; who offers more has them given back."""

LONGEST_LINE = 200
"""Starts of one tenant that wait: about as many as can be made while an emit's lease lasts."""

FAIR_WAITING = 800
"""Where many tenants wait, each may have an equal part of so many."""

FULL_LINE = 64
"""A tenant with so many waiting starts is passed over by the relay; it gets the next ones soon."""

FAIR_RELAYED = 256
"""Where many tenants wait, the relay passes over who has an equal part of so many."""


@dataclass(frozen=True, slots=True)
class PlannedStart:
    """A start command that an emit of this process has leased."""

    command_id: int
    start: StartableRun


@dataclass(frozen=True, slots=True)
class LeasedStart:
    """A start command that this process has leased.

    Attributes:
        command_id: Of the outbox.
        run_id: What to start.
        tenant_id: Whose it is.
        generation: Which take of the run.
        tries: How often the command was leased, this time included.
        until: Time of the event loop from which on another process may lease it.
        run: What its workflow must know; None: that has to be read.
    """

    command_id: int
    run_id: str
    tenant_id: str
    generation: int
    tries: int
    until: float
    run: StartableRun | None = None


class Starts:
    """Knows how each leased start stands; executes nothing.

    ::

        offered --> waiting --------> under way --------> started --------> forgotten
           |        in its tenant's   Temporal is asked   Temporal has      the row is
           |        line                  |               the run           deleted
           |           |                  |
           |           |                  +--> let go: put off, or failed
           |           +--> let go: its lease is over
           |
           +--> left --------> given back
                no room        its lease is ended

    Tenants take turns from *waiting* on, so that a start waits for one start of each other tenant
    and not for their backlogs. *Let go*: the row stays as it is, and whoever leases it next, this
    process perhaps, executes it. Whatever else is lost on the way, the lease runs out.

    ``held`` are the commands whose leases are this process's to end when it stops: all but those
    that were forgotten, given back or let go.
    """

    def __init__(self) -> None:
        self._waiting = Lines[LeasedStart](MOST_WAITING)
        self._left: asyncio.Queue[LeasedStart] = asyncio.Queue()
        self._started: asyncio.Queue[int] = asyncio.Queue(MOST_WAITING)
        self._held: set[int] = set()
        self._under_way: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        """Return how many starts wait."""
        return len(self._waiting)

    def others_wait(self, tenant_id: str) -> bool:
        """Return whether a start of another tenant waits."""
        return self._waiting.tenants > (self._waiting.length(tenant_id) > 0)

    @property
    def room(self) -> int:
        """How many more starts may wait."""
        return MOST_WAITING - len(self._waiting)

    def has_room(self, tenant_id: str) -> bool:
        """Return whether another start of a tenant may wait."""
        line = self._waiting.length(tenant_id)
        return self.room > 0 and line < self._part(FAIR_WAITING, most=LONGEST_LINE)

    def full_lines(self) -> list[str]:
        """Return the tenants whose starts the relay leaves to later, or to other processes."""
        return self._waiting.longer_than(self._part(FAIR_RELAYED, most=FULL_LINE) - 1)

    def offer(self, start: LeasedStart) -> None:
        """Add a start of an emit to its tenant's line; what finds no room is left."""
        if self._waiting.length(start.tenant_id) < LONGEST_LINE:
            self.feed(start)
        else:
            self._leave(start)

    def feed(self, start: LeasedStart) -> None:
        """Add a start of the relay, which has asked before how long the line is."""
        self._held.add(start.command_id)
        pushed_out = self._waiting.put(start.tenant_id, start)
        if pushed_out is not None:
            self._leave(pushed_out)

    def _leave(self, start: LeasedStart) -> None:
        self._held.add(start.command_id)
        self._left.put_nowait(start)

    async def wait(self) -> None:
        """Return when a start waits."""
        await self._waiting.wait()

    def take(self, *, now: float) -> LeasedStart | None:
        """Return the start whose turn it is; None: what waited has lost its lease.

        After its lease a relay may be starting it too. Temporal would make that one start, but
        all the work would be done twice.
        """
        while self._waiting:
            start = self._waiting.take()
            if now < start.until:
                return start
            self._held.discard(start.command_id)
        return None

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Return a context for whose end ``settle`` waits."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(end)
        try:
            yield
        finally:
            self._under_way.discard(end)
            end.cancel()

    async def settle(self, *, timeout: float) -> None:
        """Return when nothing is under way, or after so many seconds."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=timeout)

    async def started(self, command_id: int) -> None:
        """Note that Temporal has the run; waits while very many are still to be forgotten."""
        await self._started.put(command_id)

    async def next_started(self) -> list[int]:
        """Wait for commands that are to be forgotten, and return all that there are."""
        return [await self._started.get(), *self.take_started()]

    def take_started(self) -> list[int]:
        """Return the commands that are to be forgotten."""
        return [self._started.get_nowait() for _ in range(self._started.qsize())]

    async def next_left(self, *, now: float) -> list[int]:
        """Wait for starts that found no room, and return those whose leases are to be ended.

        One whose lease is over may be another process's by now, and is let go.
        """
        left = [await self._left.get()]
        left += [self._left.get_nowait() for _ in range(self._left.qsize())]
        self._held.difference_update(start.command_id for start in left if start.until <= now)
        return [start.command_id for start in left if now < start.until]

    def no_longer_held(self, command_ids: Collection[int]) -> None:
        """Note that commands are forgotten, given back or let go."""
        self._held.difference_update(command_ids)

    def take_held(self) -> Sequence[int]:
        """Return the commands whose leases are to be ended, and hold none any more."""
        held, self._held = list(self._held), set[int]()
        return held

    def _part(self, together: int, *, most: int) -> int:
        return max(1, min(most, together // max(1, self._waiting.tenants)))
