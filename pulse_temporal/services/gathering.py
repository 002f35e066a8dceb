"""Store signals that are emitted at the same moment with one statement and one commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.store import triggers
from pulse_temporal.store.database import Database
from pulse_temporal.store.rows import required
from pulse_temporal.store.triggers import Emitted, NewTrigger

LANES = 4
"""Statements under way at the same time: while Postgres works on some, the next is made."""

TOGETHER = 100
TOGETHER_BYTES = 1024 * 1024
"""Bounds of what one statement stores, by number and by payloads (one signal may be larger)."""


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
    Signals with a key are no business of this class: they may wait for another transaction,
    and would make strangers wait along.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
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
            # A task of its own, so that no emitter's cancel undoes what others have stored.
            # It ends as soon as nothing waits.
            self._lanes.add(self.loop.create_task(self._work(), name="pulse-emit"))
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
        while self._waiting and len(taken) < TOGETHER:
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

    async def _store(self, together: Sequence[_Waiting]) -> None:
        """Store signals and tell their emitters; what Postgres refuses harms no other signal."""
        try:
            async with self.database.session() as session:
                found = await triggers.emit_signals(
                    session, [each.trigger for each in together], lease=together[0].lease
                )
        except PostgresUnavailableError as error:  # it may have stored them: no second try
            _fail(together, error)
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            if len(together) == 1:
                _fail(together, error)
            else:
                for each in together:
                    await self._store([each])
        else:
            for each, emitted in zip(together, found, strict=True):
                if not each.outcome.done():
                    each.outcome.set_result(required(emitted, "a signal without a key"))


def _fail(together: Sequence[_Waiting], error: Exception) -> None:
    for each in together:
        if not each.outcome.done():
            each.outcome.set_exception(error)
