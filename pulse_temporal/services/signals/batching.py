"""Store signals that are emitted at the same moment with one statement and one commit."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable, Sequence
from copy import copy
from datetime import timedelta

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.failures import in_doubt, is_in_doubt
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.signals.apart import (
    SLOW_SECONDS,
    Apart,
    Share,
    Waiting,
    by_tenant,
    take,
)
from pulse_temporal.store import triggers
from pulse_temporal.store.database import Database
from pulse_temporal.store.rows import required
from pulse_temporal.store.triggers import TOGETHER, Emitted, NewTrigger

LANES = 4
"""Statements that run at the same time, so that one is prepared while Postgres works on others.
As many more are for tenants that are kept apart."""

SHARED_PART = 0.25
"""Part of ``postgres_timeout`` after which a statement of several tenants is given up. Each
tenant then gets statements of its own, in the end with all of ``postgres_timeout``."""

HEAVY_CHARS = 256 * 1024
"""A tenant with more JSON than this in the runs of a slow statement counts as its cause."""

Take = Callable[[], list[Waiting]]


class EmitBatcher:
    """Stores signals without idempotency keys; belongs to the event loop that it is made in.

    A signal that comes alone is stored at once. Those that come while ``LANES`` statements are
    under way wait for the next one and share it: a crowd of emitters costs few round trips,
    commits and connections. Each emitter still returns after the commit of its own signal.
    How many share a statement, at most ``TOGETHER``, depends on how long the last ones took:
    signals that match many definitions cost more than others.

    No tenant pays for the signals of another. When a statement with several tenants fails or
    takes too long, each tenant gets one of its own; a tenant whose own statement fails or is
    heavy is kept apart for a while, in lanes for such tenants. A signal that is sent again has
    the same id, so it is stored once even if the first statement did commit
    (``tests/faults/test_broken_connections.py``).

    Signals with a key are not accepted: they may wait for another transaction that uses the same
    key, and the signals that share their statement would wait with them.

    Attributes:
        loop: The event loop.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._waiting: deque[Waiting] = deque()
        self._share = Share(TOGETHER)
        self._parts: deque[list[Waiting]] = deque()  # of statements that have failed, by tenant
        self._apart = Apart()
        # Lanes that will look once more for waiting signals before they end.
        self._lanes: set[asyncio.Task[None]] = set()
        self._lanes_apart: set[asyncio.Task[None]] = set()

    async def store(self, trigger: NewTrigger, *, lease: timedelta | None) -> Emitted:
        """Store a signal, perhaps with others; raise what storing it alone would raise.

        When the caller is canceled before the signal's turn, nothing is stored; after that, the
        signal may be. When no turn comes within ``postgres_timeout``, nothing is stored.

        Args:
            trigger: A signal of the application, with neither key, cause nor owner.
            lease: How long the relay leaves the starts to this process; None: not at all.

        Raises:
            PostgresUnavailableError: It had no turn in time, or Postgres did not answer.
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
        """Start another lane if fewer than ``LANES`` are open; it ends when nothing waits."""
        if len(lanes) < LANES:
            # A task of its own: an emitter that is canceled must not undo what others store with
            # it. An empty context: one emitter's context variables must not leak to others.
            work = self._work(lanes, take_next)
            lanes.add(
                self.loop.create_task(work, name="pulse-emit", context=contextvars.Context())
            )

    async def _work(self, lanes: set[asyncio.Task[None]], take_next: Take) -> None:
        """Store what waits, statement by statement, until nothing waits."""
        try:
            while taken := take_next():
                together: list[Waiting] = []
                for each in taken:
                    each.timer.cancel()  # its turn has come; the statement has its own bound
                    if not each.outcome.done():  # else canceled, or out of patience
                        together.append(each)
                if not together:
                    continue
                try:
                    await self._store(together, is_apart=lanes is self._lanes_apart)
                except BaseException:  # the loop ends: an emitter must not wait for ever
                    for each in together:
                        each.outcome.cancel()
                    raise
        # No await between the last look and this: a signal that comes now needs a new lane.
        finally:
            if (lane := asyncio.current_task()) is not None:
                lanes.discard(lane)

    def _take(self) -> list[Waiting]:
        """Remove and return signals that may share a statement; [] when none waits.

        The parts of failed statements come first: they have waited longest. Tenants may have
        been set apart since their signals came.
        """
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
        """Queue signals of tenants that are kept apart."""
        self._apart.add(signals)
        self._open_lane(self._lanes_apart, self._apart.take)

    def _give_up(
        self, outcome: asyncio.Future[Emitted], doubt: PostgresUnavailableError | None
    ) -> None:
        """Fail an emitter whose turn has not come: nothing is stored, unless ``doubt`` says so."""
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
        """Store signals and answer their emitters, or queue them again for smaller statements.

        A statement is a trial, given up after ``SHARED_PART`` of the time, when smaller ones can
        follow: it is shared by tenants, or is a tenant's first one after a shared one failed.
        """
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
            if begun is None:  # no connection: smaller statements would get none either
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
        """Store signals; if an earlier statement has stored them already, read what it stored."""
        send = triggers.send_again if together[0].is_again else triggers.send_signals
        signals = [each.trigger for each in together]
        timeout = timedelta(seconds=seconds) if seconds else None
        return await send(session, signals, lease=together[0].lease, timeout=timeout)

    def _learn(self, together: Sequence[Waiting], *, seconds: float, is_apart: bool) -> None:
        if is_apart:
            self._apart.learn(together[0].tenant_id, number=len(together), seconds=seconds)
        else:
            self._share.learn(number=len(together), seconds=seconds)

    def _divide(
        self, together: Sequence[Waiting], error: Exception, *, is_shared: bool, is_trial: bool
    ) -> None:
        """Queue the signals of a failed statement again for smaller ones, or fail them.

        First one statement for each tenant, then one for each signal of a tenant whose own
        statement failed. A signal fails that is refused alone, or whose statement had all its
        time.
        """
        if is_shared:
            for part in by_tenant(together):
                self._wait_again(part, error)
                self._parts.append(part)
                self._open_lane(self._lanes, self._take)
            return
        self._apart.keep(together[0].tenant_id)
        # Refused: one of them is at fault, and the others can be stored. Otherwise Postgres took
        # too long or was away: try again only if there was less than the full time.
        is_refused = isinstance(error, triggers.REFUSALS)
        if len(together) > 1 if is_refused else is_trial:
            self._wait_again(together, error)
            for each in together:
                each.is_alone = True
            self._keep_apart(together)
        else:
            _fail(together, error)

    def _wait_again(self, signals: Sequence[Waiting], error: Exception) -> None:
        """Mark signals as sent before, and give their emitters new patience.

        An error in doubt is kept: should no later statement be answered, the emitter must hear
        that its signal may be stored.
        """
        for each in signals:
            each.is_again = True
            if isinstance(error, PostgresUnavailableError) and is_in_doubt(error):
                each.doubt = error
            each.timer = self.loop.call_later(
                self.database.timeout, self._give_up, each.outcome, each.doubt
            )


def _heavy(together: Sequence[Waiting], found: Sequence[Record]) -> list[str]:
    """Return the tenants whose runs, with snapshots, came to more than ``HEAVY_CHARS`` of JSON."""
    owners = {each.trigger.id: each.tenant_id for each in together}
    lengths: dict[str, int] = {}
    planned: Counter[str] = Counter()
    for row in found:
        if row["snapshot"] is not None:  # comes only with the first run of each definition
            lengths[row["definition_id"]] = len(row["snapshot"])
        planned[owners[row["id"]]] += lengths.get(row["definition_id"], 0)
    return [tenant_id for tenant_id, chars in planned.items() if chars > HEAVY_CHARS]


def _tell(together: Sequence[Waiting], found: Sequence[Record]) -> None:
    """Answer each emitter with what was stored for it.

    When a row cannot be read, such as a definition of a newer release, only the emitters of its
    tenant fail (``tests/faults/test_rows_of_tomorrow.py::emits_of_everybody_succeed``).
    """
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
    """Fail signals with an error, or with the earlier one that left open whether it is stored."""
    is_away = isinstance(error, PostgresUnavailableError)
    for each in together:
        if not each.outcome.done():
            each.outcome.set_exception(_own(each.doubt if is_away and each.doubt else error))


def _own(error: Exception) -> Exception:
    """Return a copy of an error for one emitter: raising it adds that emitter's traceback."""
    try:
        own = copy(error)
    except Exception:  # noqa: BLE001 - a foreign class may not allow copies
        return error
    own.__cause__ = error
    return own
