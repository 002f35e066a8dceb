"""Store signals that are emitted at the same moment with one statement and one commit."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable, Sequence
from copy import copy
from datetime import timedelta

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.services.signals.apart import (
    SLOW_SECONDS,
    Apart,
    Share,
    Waiting,
    by_tenant,
    take,
)
from pulse_temporal.store import triggers
from pulse_temporal.store.connection import Record
from pulse_temporal.store.database import Database
from pulse_temporal.store.failures import in_doubt, is_in_doubt
from pulse_temporal.store.rows import required
from pulse_temporal.store.sessions import Session
from pulse_temporal.store.triggers import TOGETHER, Emitted, NewTrigger

LANES = 4
"""Statements under way at the same time: while Postgres works on some, the next is made. As many
more are for tenants that are kept apart."""

SHARED_PART = 0.25
"""Part of ``postgres_timeout`` that a statement may take which several tenants share. Then each
tenant has statements of its own, and in the end all of ``postgres_timeout`` for them."""

HEAVY_CHARS = 256 * 1024
"""A tenant that plans runs with more than this in a slow statement is what made it slow."""

Take = Callable[[], list[Waiting]]


class EmitBatcher:
    """Stores signals without idempotency keys; belongs to the event loop that first uses it.

    A signal that comes alone is stored at once. Those that come while ``LANES`` statements are
    under way wait for the next one and share it: a crowd of emitters costs few round trips,
    commits and connections. Each emitter still returns after the commit of its own signal.
    How many share a statement, ``TOGETHER`` at most, depends on how long the last ones took:
    signals that match much cost more than others.

    What one tenant's signals cost or break reaches no other tenant. A statement that several
    share and that fails, or takes too long, is made again for each tenant by itself; a tenant
    whose own one fails or is heavy is kept apart for a while, in lanes of its own. A signal that
    is stored again has the same id, so that it is stored once although the first statement may
    have committed.

    Signals with a key are no business of this class: they may wait for another transaction,
    and would make strangers wait along.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loop = asyncio.get_running_loop()
        self._waiting: deque[Waiting] = deque()
        self._share = Share(TOGETHER)
        self._parts: deque[list[Waiting]] = deque()  # of statements that have failed, by tenant
        self._apart = Apart()
        # Those that will look again at what waits.
        self._lanes: set[asyncio.Task[None]] = set()
        self._lanes_apart: set[asyncio.Task[None]] = set()

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
        timer = self.loop.call_later(self.database.timeout, self._give_up, outcome, None)
        waiting = Waiting(trigger, lease, outcome, timer)
        if self._apart.has(waiting.tenant_id):
            self._keep_apart([waiting])
        else:
            self._waiting.append(waiting)
            self._open_lane(self._lanes, self._take)
        return await outcome

    def _open_lane(self, lanes: set[asyncio.Task[None]], take_next: Take) -> None:
        if len(lanes) < LANES:
            # A task of its own, so that no emitter's cancel undoes what others have stored, and
            # no emitter's context variables are there for others. It ends as soon as nothing
            # waits.
            work = self._work(lanes, take_next)
            lanes.add(
                self.loop.create_task(work, name="pulse-emit", context=contextvars.Context())
            )

    async def _work(self, lanes: set[asyncio.Task[None]], take_next: Take) -> None:
        try:
            while taken := take_next():
                together: list[Waiting] = []
                for each in taken:
                    each.timer.cancel()
                    if not each.outcome.done():
                        together.append(each)
                if not together:
                    continue
                try:
                    await self._store(together, is_apart=lanes is self._lanes_apart)
                except BaseException:  # nobody waits for ever, also when the event loop ends
                    for each in together:
                        each.outcome.cancel()
                    raise
        finally:  # before anybody else runs: who comes now needs a new lane
            if (lane := asyncio.current_task()) is not None:
                lanes.discard(lane)

    def _take(self) -> list[Waiting]:
        """Take what a statement may store that tenants share; empty when nobody waits."""
        if self._parts:
            return self._parts.popleft()
        while taken := take(self._waiting, most=self._share.most):
            apart = [each for each in taken if self._apart.has(each.tenant_id)]
            if not apart:
                return taken
            self._keep_apart(apart)
            if rest := [each for each in taken if each not in apart]:
                return rest
        return []

    def _keep_apart(self, signals: Sequence[Waiting]) -> None:
        self._apart.add(signals)
        self._open_lane(self._lanes_apart, self._apart.take)

    def _give_up(
        self, outcome: asyncio.Future[Emitted], doubt: PostgresUnavailableError | None
    ) -> None:
        """Let an emitter go whose turn does not come; its signal is not stored, or in doubt."""
        if outcome.done():
            return
        if doubt is not None:
            outcome.set_exception(_own(doubt))
        else:
            behind = len(self._waiting) + self._apart.waits
            outcome.set_exception(
                PostgresUnavailableError(
                    f"Postgres is behind: {behind} signals wait to be stored, and "
                    f"this one had no turn within {self.database.timeout:g} s."
                )
            )

    async def _store(self, together: Sequence[Waiting], *, is_apart: bool) -> None:
        """Store signals and tell their emitters, or let them wait for a statement of their own."""
        first = together[0]
        is_shared = any(each.tenant_id != first.tenant_id for each in together)
        is_trial = is_shared or (first.is_again and not is_apart)
        seconds = self.database.timeout * SHARED_PART if is_trial else None
        begun: float | None = None
        try:
            async with self.database.session() as session:
                begun = self.loop.time()
                with in_doubt(has_key=False):
                    found = await self._send(session, together, seconds=seconds)
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            if begun is None:  # there was no connection, for whatever signal
                _fail(together, error)
            else:
                self._learn(together, seconds=self.loop.time() - begun, is_apart=is_apart)
                self._divide(together, error, is_shared=is_shared, is_trial=is_trial)
        else:
            took = self.loop.time() - begun
            self._learn(together, seconds=took, is_apart=is_apart)
            if took > SLOW_SECONDS:
                for tenant_id in _heavy(together, found):
                    self._apart.keep(tenant_id)
            _tell(together, found)

    async def _send(
        self, session: Session, together: Sequence[Waiting], *, seconds: float | None
    ) -> list[Record]:
        """Store signals, each once: an earlier statement may have stored them."""
        send = triggers.send_again if together[0].is_again else triggers.send_signals
        signals = [each.trigger for each in together]
        patience = timedelta(seconds=seconds) if seconds else None
        return await send(session, signals, lease=together[0].lease, patience=patience)

    def _learn(self, together: Sequence[Waiting], *, seconds: float, is_apart: bool) -> None:
        if is_apart:
            self._apart.learn(together[0].tenant_id, number=len(together), seconds=seconds)
        else:
            self._share.learn(number=len(together), seconds=seconds)

    def _divide(
        self, together: Sequence[Waiting], error: Exception, *, is_shared: bool, is_trial: bool
    ) -> None:
        """Let the signals of a failed statement wait for smaller ones, if that may help."""
        if is_shared:
            for part in by_tenant(together):
                self._wait_again(part, error)
                self._parts.append(part)
                self._open_lane(self._lanes, self._take)
            return
        self._apart.keep(together[0].tenant_id)
        is_refused = isinstance(error, triggers.REFUSALS)
        if len(together) > 1 if is_refused else is_trial:
            self._wait_again(together, error)
            for each in together:
                each.is_alone = True
            self._keep_apart(together)
        else:
            _fail(together, error)

    def _wait_again(self, signals: Sequence[Waiting], error: Exception) -> None:
        for each in signals:
            each.is_again = True
            if isinstance(error, PostgresUnavailableError) and is_in_doubt(error):
                each.doubt = error
            each.timer = self.loop.call_later(
                self.database.timeout, self._give_up, each.outcome, each.doubt
            )


def _heavy(together: Sequence[Waiting], found: Sequence[Record]) -> list[str]:
    """Name the tenants whose runs were much to store."""
    owners = {each.trigger.id: each.tenant_id for each in together}
    lengths: dict[str, int] = {}
    planned: Counter[str] = Counter()
    for row in found:
        if row["snapshot"] is not None:  # of the first run of each definition
            lengths[row["definition_id"]] = len(row["snapshot"])
        planned[owners[row["id"]]] += lengths.get(row["definition_id"], 0)
    return [tenant_id for tenant_id, chars in planned.items() if chars > HEAVY_CHARS]


def _tell(together: Sequence[Waiting], found: Sequence[Record]) -> None:
    """Tell emitters what is stored; an answer that cannot be read is its tenant's alone."""
    try:
        emitted = triggers.read_emitted([each.trigger for each in together], found)
        stored = [required(each, "a signal without a key") for each in emitted]
    except Exception as error:  # noqa: BLE001 - raised again where it is awaited
        parts = by_tenant(together)
        if len(parts) == 1:
            _fail(together, error)
            return
        for part in parts:
            ids = {each.trigger.id for each in part}
            _tell(part, [row for row in found if row["id"] in ids])
        return
    for each, outcome in zip(together, stored, strict=True):
        if not each.outcome.done():
            each.outcome.set_result(outcome)


def _fail(together: Sequence[Waiting], error: Exception) -> None:
    """Fail signals; of one that an earlier statement may have stored, that is what is said."""
    is_away = isinstance(error, PostgresUnavailableError)
    for each in together:
        if not each.outcome.done():
            each.outcome.set_exception(_own(each.doubt if is_away and each.doubt else error))


def _own(error: Exception) -> Exception:
    """Return an error for one emitter alone: raising it leaves marks on it."""
    try:
        own = copy(error)
    except Exception:  # noqa: BLE001 - a class of somebody else, which cannot be copied
        return error
    own.__cause__ = error
    return own
