"""Store signals that are emitted at the same moment with one statement and one commit."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import timedelta

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.store import triggers
from pulse_temporal.store.connection import Record
from pulse_temporal.store.database import Database
from pulse_temporal.store.rows import required
from pulse_temporal.store.sessions import Session
from pulse_temporal.store.triggers import TOGETHER, Emitted, NewTrigger

LANES = 4
"""Statements under way at the same time: while Postgres works on some, the next is made."""

TOGETHER_BYTES = 1024 * 1024
"""Payloads that one statement stores, at most; one signal may be larger."""

SLOW_SECONDS = 0.5
"""A statement that takes longer lets the next ones store half as many signals."""

GROWTH = 5
"""So many more signals may share a statement after one that was full and quick."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A signal that is not stored yet, where its emitter waits, and what ends its patience."""

    trigger: NewTrigger
    lease: timedelta | None
    outcome: asyncio.Future[Emitted]
    timer: asyncio.TimerHandle


class Gatherer:
    """Stores signals without idempotency keys; belongs to the event loop that first uses it.

    A signal that comes alone is stored at once. Those that come while ``LANES`` statements are
    under way wait for the next one and share it: a crowd of emitters costs few round trips,
    commits and connections. Each emitter still returns after the commit of its own signal.
    How many share a statement, ``TOGETHER`` at most, depends on how long the last ones took:
    signals that match much cost more than others.

    Signals with a key are no business of this class: they may wait for another transaction,
    and would make strangers wait along.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._most = TOGETHER
        self._lanes: set[asyncio.Task[None]] = set()  # those that will look at _waiting again

    async def store(self, trigger: NewTrigger, *, lease: timedelta | None) -> Emitted:
        """Store a signal with others; raises what storing it alone would raise.

        A caller that is canceled before its turn stores nothing; later it may have stored. One
        whose turn does not come within ``postgres_timeout`` has stored nothing either.

        Args:
            trigger: From outside, with neither key, cause nor owner.
            lease: For how long the relay leaves the starts to the caller.

        Raises:
            PostgresUnavailableError: It had no turn in time, or as storing it alone.
        """
        outcome: asyncio.Future[Emitted] = self.loop.create_future()
        timer = self.loop.call_later(self.database.timeout, self._give_up, outcome)
        self._waiting.append(_Waiting(trigger, lease, outcome, timer))
        if len(self._lanes) < LANES:
            # A task of its own, so that no emitter's cancel undoes what others have stored, and
            # no emitter's context variables are there for others. It ends as soon as nothing
            # waits.
            self._lanes.add(
                self.loop.create_task(
                    self._work(), name="pulse-emit", context=contextvars.Context()
                )
            )
        return await outcome

    async def _work(self) -> None:
        try:
            while together := self._take():
                try:
                    await self._store(together)
                finally:  # nobody waits for ever, also when the event loop ends
                    for each in together:
                        each.outcome.cancel()
        finally:  # before anybody else runs: who comes now needs a new lane
            if (lane := asyncio.current_task()) is not None:
                self._lanes.discard(lane)

    def _take(self) -> list[_Waiting]:
        """Take what one statement may store; empty when nobody waits."""
        taken: list[_Waiting] = []
        chars = 0
        while self._waiting and len(taken) < self._most:
            following = self._waiting[0]
            chars += len(following.trigger.payload)
            if taken and (following.lease != taken[0].lease or chars > TOGETHER_BYTES):
                break
            self._waiting.popleft().timer.cancel()
            if not following.outcome.done():
                taken.append(following)
        return taken

    def _give_up(self, outcome: asyncio.Future[Emitted]) -> None:
        """Let an emitter go whose turn does not come; its signal is not stored."""
        if not outcome.done():
            outcome.set_exception(
                PostgresUnavailableError(
                    f"Postgres is behind: {len(self._waiting)} signals wait to be stored, and "
                    f"this one had no turn within {self.database.timeout:g} s."
                )
            )

    async def _store(self, together: Sequence[_Waiting]) -> PostgresUnavailableError | None:
        """Store signals and tell their emitters; what Postgres refuses harms no other signal.

        Signals are stored one by one only when nothing of their statement can have been stored.
        What goes wrong later, such as reading the answer, goes wrong for all of them.

        Returns:
            What Postgres failed with when it is away.
        """
        refusal: Exception | None = None
        found: list[Record] = []
        try:
            async with self.database.session() as session:
                try:
                    found = await self._send(session, together)
                except triggers.REFUSALS as error:
                    refusal = error
            if refusal is None:
                _tell(together, triggers.read_emitted([each.trigger for each in together], found))
        except PostgresUnavailableError as error:
            _fail(together, error)
            return error
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            _fail(together, error)
        else:
            if refusal is not None and len(together) == 1:
                _fail(together, refusal)
            elif refusal is not None:
                await self._store_one_by_one(together)
        return None

    async def _store_one_by_one(self, together: Sequence[_Waiting]) -> None:
        """Store each signal alone whose emitter still waits, until Postgres is away."""
        away: PostgresUnavailableError | None = None
        for each in together:
            if away is not None:
                _fail([each], away)
            elif not each.outcome.done():
                away = await self._store([each])

    async def _send(self, session: Session, together: Sequence[_Waiting]) -> list[Record]:
        """Store signals, and learn from how long it takes."""
        begun = self.loop.time()
        try:
            return await triggers.send_signals(
                session, [each.trigger for each in together], lease=together[0].lease
            )
        finally:
            if self.loop.time() - begun > SLOW_SECONDS:
                self._most = max(1, min(self._most, len(together) // 2))
            elif len(together) >= self._most:
                self._most = min(TOGETHER, self._most + GROWTH)


def _tell(together: Sequence[_Waiting], found: Sequence[Emitted | None]) -> None:
    stored = [required(emitted, "a signal without a key") for emitted in found]
    for each, emitted in zip(together, stored, strict=True):
        if not each.outcome.done():
            each.outcome.set_result(emitted)


def _fail(together: Sequence[_Waiting], error: Exception) -> None:
    for each in together:
        if not each.outcome.done():
            each.outcome.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """Give an error for one emitter alone: raising it leaves marks on it."""
    try:
        own = copy(error)
    except Exception:  # noqa: BLE001 - a class of somebody else, which cannot be copied
        return error
    own.__cause__ = error
    return own
