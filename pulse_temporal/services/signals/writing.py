"""Store signals and plan their runs in one transaction: one of its own, shared, or the caller's.

| a signal | is stored |
|---|---|
| with a connection | in the caller's transaction, in a savepoint |
| alone, with neither key nor cause | with others that come at the same moment (``EmitBatcher``) |
| alone, any other; or in a list | in a transaction of its own |

After the commit, the dispatcher of this process is offered the planned runs, and a lease keeps
the relays off them for a while. In a transaction whose commit we do not learn of, there is no
lease: the relays start the runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.failpoints import reach
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.postgres.failures import in_doubt
from pulse_temporal.postgres.joining import check_joinable, savepoint
from pulse_temporal.postgres.sessions import Session, repeated
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.services.outbox.starts import PlannedStart
from pulse_temporal.services.signals.batching import EmitBatcher
from pulse_temporal.services.signals.known import known
from pulse_temporal.services.signals.stored import envelope_of, starts_of
from pulse_temporal.store import outbox, triggers
from pulse_temporal.store.database import Database
from pulse_temporal.store.triggers import Emitted, NewTrigger


class SignalWriter:
    """Stores signals, and hands the runs that they start to the dispatcher.

    Args:
        database: Where they are stored.
        dispatcher: Starts runs from this process.
        options: Of the engine.
    """

    def __init__(self, database: Database, dispatcher: Dispatcher, options: EngineOptions) -> None:
        self.database = database
        self.dispatcher = dispatcher
        self.options = options
        self._joined: dict[int, list[PlannedStart]] = {}
        self._batcher: EmitBatcher | None = None

    async def store(
        self, trigger: NewTrigger, *, connection: Connection | None = None
    ) -> TriggerEnvelope:
        """Store a signal, plan its runs, and return it with their ids.

        With a ``connection`` all of it joins the caller's transaction, and serialization failures
        are raised as Postgres reports them.

        Raises:
            EmitBusyError: Another open transaction uses its key.
            IdempotencyConflictError: Its key stands for other content.
            PostgresUnavailableError: Postgres did not answer in time.
        """
        if connection is not None or not trigger.may_gather:
            (envelope,) = await self.store_all([trigger], connection=connection)
            return envelope
        lease = self._lease_of([trigger])
        emitted = await self._batcher_here().store(trigger, lease=lease)
        await self._committed([trigger], [emitted], lease=lease)
        return envelope_of(trigger, emitted)

    async def store_all(
        self, signals: Sequence[NewTrigger], *, connection: Connection | None = None
    ) -> list[TriggerEnvelope]:
        """Store signals and plan their runs, all or none; otherwise as ``store``.

        Args:
            signals: At least one; alike as ``triggers.emit_signals`` demands. More than
                ``triggers.TOGETHER`` take several statements.
            connection: Of the caller, whose transaction they join; or None.
        """
        if connection is not None:
            return await self._store_joined(signals, connection)
        lease = self._lease_of(signals)
        emitted, envelopes = await repeated(lambda: self._store_alone(signals, lease=lease))
        await self._committed(signals, emitted, lease=lease)
        return envelopes

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection in a transaction; the runs of its signals start at the commit."""
        starts: list[PlannedStart] = []
        async with self.database.transaction(to_others=True) as session:
            key = id(session.connection)
            self._joined[key] = starts
            try:
                yield session.connection
            finally:
                del self._joined[key]
            # Which commands are still there: a savepoint may have undone some. This is asked
            # before the commit, as after it nothing may fail any more. If an earlier statement
            # has failed and its error was swallowed, this one fails too; without it, Postgres
            # would answer the COMMIT with a rollback, and no error.
            ids = [planned.command_id for planned in starts]
            kept = await outbox.existing(session, ids)
        await reach("emit.after_commit")
        self.dispatcher.offer([planned for planned in starts if planned.command_id in kept])

    async def _store_alone(
        self, signals: Sequence[NewTrigger], *, lease: timedelta | None
    ) -> tuple[list[Emitted | None], list[TriggerEnvelope]]:
        is_one = len(signals) == 1  # one statement needs no BEGIN and COMMIT: two round trips less
        lend = self.database.session if is_one else self.database.transaction
        async with lend() as session:
            # A statement that commits by itself may have succeeded when its answer is lost;
            # within a transaction it has not, without a COMMIT.
            told = in_doubt(has_key=signals[0].key is not None) if is_one else nullcontext()
            with told:
                emitted = await triggers.emit_all(session, signals, lease=lease)
            return emitted, await _envelopes(session, signals, emitted)

    async def _store_joined(
        self, signals: Sequence[NewTrigger], connection: Connection
    ) -> list[TriggerEnvelope]:
        check_joinable(connection, prefix=self.database.prefix)
        session = await self.database.join(connection)
        # Only a transaction of ours tells when it commits. After the commit of any other one, the
        # relay starts the runs.
        starts = self._joined.get(id(connection))
        lease = self._lease_of(signals) if starts is not None else None
        async with savepoint(session):
            emitted = await triggers.emit_all(
                session, signals, lease=lease, timeout=self.options.postgres_timeout
            )
            envelopes = await _envelopes(session, signals, emitted)
        await reach("emit.before_commit")
        if starts is not None and lease is not None:
            starts += starts_of(signals, emitted)
        return envelopes

    async def _committed(
        self,
        signals: Sequence[NewTrigger],
        emitted: Sequence[Emitted | None],
        *,
        lease: timedelta | None,
    ) -> None:
        """Offer the runs of signals that are committed to the dispatcher of this process."""
        await reach("emit.after_commit")
        if lease is not None:
            self.dispatcher.offer(starts_of(signals, emitted))

    def _lease_of(self, signals: Sequence[NewTrigger]) -> timedelta | None:
        """Return how long the relay leaves starts to this process; None: it cannot make any soon.

        What finds no room in the end is given back.
        """
        tenants = {trigger.signal.tenant_id for trigger in signals}
        if any(self.dispatcher.accepts(tenant_id) for tenant_id in tenants):
            return self.options.emit_lease
        return None

    def _batcher_here(self) -> EmitBatcher:
        """Return the batcher of the running event loop; an engine may be used in several."""
        if self._batcher is None or self._batcher.loop is not asyncio.get_running_loop():
            self._batcher = EmitBatcher(self.database)
        return self._batcher


async def _envelopes(
    session: Session, signals: Sequence[NewTrigger], emitted: Sequence[Emitted | None]
) -> list[TriggerEnvelope]:
    """Return each signal as it was stored, or the earlier one whose key it has."""
    pairs = list(zip(signals, emitted, strict=True))
    taken = [trigger.key for trigger, stored in pairs if stored is None and trigger.key]
    found = await triggers.find_by_keys(session, taken) if taken else {}
    return [
        known(trigger, found) if stored is None else envelope_of(trigger, stored)
        for trigger, stored in pairs
    ]
