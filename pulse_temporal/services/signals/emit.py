"""Turn a signal into a stored trigger and planned runs, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

from pydantic_core import from_json

from pulse_temporal.config import EngineOptions
from pulse_temporal.failpoints import reach
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.canonical import canonical_object
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.outbox.dispatch import Dispatcher, PlannedStart
from pulse_temporal.services.signals.batching import EmitBatcher
from pulse_temporal.services.signals.intake import SignalIntake
from pulse_temporal.services.signals.known import known, request_hash
from pulse_temporal.store import outbox, triggers
from pulse_temporal.store.connection import Connection
from pulse_temporal.store.database import Database
from pulse_temporal.store.failures import in_doubt
from pulse_temporal.store.joining import check_joinable, savepoint
from pulse_temporal.store.sessions import Session, repeated
from pulse_temporal.store.triggers import (
    Cause,
    Emitted,
    NewTrigger,
    PlannedCommand,
)
from pulse_temporal.temporal.workflows import RunStart


class Emitter:
    """Stores signals and hands the runs they start to the dispatcher."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        dispatcher: Dispatcher,
        options: EngineOptions,
    ) -> None:
        self.database = database
        self.intake = SignalIntake(registry, options)
        self.dispatcher = dispatcher
        self.options = options
        self._joined: dict[int, list[PlannedStart]] = {}
        self._gatherer: EmitBatcher | None = None

    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan its runs; see ``Engine.emit``."""
        parsed = self.intake.parse_from_outside(signal)
        return await self.store(self.new_trigger(parsed), connection=connection)

    async def await_storage(self) -> None:
        """Return when signals can be stored.

        Raises:
            PostgresUnavailableError: Not within ``postgres_timeout``.
        """
        async with self.database.session() as session:
            await triggers.take_signals(session)

    async def emit_tick(self, signal: TriggerInput, *, owner: str) -> TriggerEnvelope:
        """Store the signal of a cron tick; needs no registration and no payload schema.

        Args:
            signal: With the nominal time in its payload and in its idempotency key, so that
                a tick that is delivered twice is one signal.
            owner: The definition whose cron ticked. It matches; of the others, those match
                that have no cron of their own.
        """
        limit = self.options.limits.payload_bytes
        payload = canonical_object(signal.payload, where="payload", max_bytes=limit)
        trigger = NewTrigger(
            id=new_id("trg"),
            signal=signal,
            payload=payload,
            request_hash=request_hash(signal, payload),
            task_queue=self.options.task_queue,
            owner=owner,
            most_runs=self.options.limits.runs_per_signal,
            most_steps=self.options.limits.steps_per_signal,
        )
        return await self.store(trigger)

    async def store(
        self, trigger: NewTrigger, *, connection: Connection | None = None
    ) -> TriggerEnvelope:
        """Store a trigger and plan its runs.

        Alone, the runs start at once. On a connection of the caller all of it joins the
        caller's transaction, in a savepoint, and the runs start after the caller's commit;
        serialization failures pass through.
        """
        if connection is None and trigger.may_gather:
            lease = self._lease
            emitted = await self._gathering().store(trigger, lease=lease)
            await reach("emit.after_commit")
            if lease is not None:
                self.dispatcher.offer(_starts([trigger], [emitted]))
            return _envelope(trigger, emitted)
        (envelope,) = await self.store_all([trigger], connection=connection, numbered=False)
        return envelope

    async def store_all(
        self,
        signals: Sequence[NewTrigger],
        *,
        connection: Connection | None = None,
        numbered: bool = True,
    ) -> list[TriggerEnvelope]:
        """Store triggers and plan their runs, all or none; else as ``store``.

        Args:
            signals: At least one; what ``triggers.emit_signals`` says they share. More than
                ``triggers.TOGETHER`` take several statements.
            connection: Of the caller.
            numbered: Whether an error says which of the signals it is about.

        Raises:
            EmitBusyError: Another open transaction uses a key.
            IdempotencyConflictError: A key stands for other content; ``index`` says whose.
            PostgresUnavailableError: No answer, or not in time.
        """
        if connection is not None:
            return await self._store_joined(signals, connection, numbered=numbered)
        lease = self._lease
        emitted, envelopes = await repeated(
            lambda: self._store_alone(signals, lease=lease, numbered=numbered)
        )
        await reach("emit.after_commit")
        if lease is not None:
            self.dispatcher.offer(_starts(signals, emitted))
        return envelopes

    async def _store_alone(
        self, signals: Sequence[NewTrigger], *, lease: timedelta | None, numbered: bool
    ) -> tuple[list[Emitted | None], list[TriggerEnvelope]]:
        is_one = len(signals) == 1  # one statement, nothing to undo
        lend = self.database.session if is_one else self.database.transaction
        async with lend() as session:
            # Only a statement that commits by itself may be carried out without an answer.
            told = in_doubt(has_key=signals[0].key is not None) if is_one else nullcontext()
            with told:
                emitted = await triggers.emit_all(session, signals, lease=lease)
            return emitted, await _envelopes(session, signals, emitted, numbered=numbered)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection in a transaction; what is emitted on it starts at its commit."""
        starts: list[PlannedStart] = []
        async with self.database.transaction(to_others=True) as session:
            key = id(session.connection)
            self._joined[key] = starts
            try:
                yield session.connection
            finally:
                del self._joined[key]
            # Asked before the commit: a savepoint may have undone some, and after the commit
            # nothing may fail any more. It also fails where a statement has failed before, which
            # Postgres would answer the commit with a rollback for, without an error.
            ids = [planned.command_id for planned in starts]
            kept = await outbox.existing(session, ids)
        await reach("emit.after_commit")
        self.dispatcher.offer([planned for planned in starts if planned.command_id in kept])

    @property
    def _lease(self) -> timedelta | None:
        """How long the relay leaves starts to this process; None when it cannot make them."""
        return self.options.emit_lease if self.dispatcher.accepts else None

    def _gathering(self) -> EmitBatcher:
        """Give the gatherer of the running event loop."""
        if self._gatherer is None or self._gatherer.loop is not asyncio.get_running_loop():
            self._gatherer = EmitBatcher(self.database)
        return self._gatherer

    async def _store_joined(
        self, signals: Sequence[NewTrigger], connection: Connection, *, numbered: bool
    ) -> list[TriggerEnvelope]:
        check_joinable(connection, prefix=self.database.prefix)
        session = await self.database.join(connection)
        starts = self._joined.get(id(connection))
        lease = self._lease if starts is not None else None
        async with savepoint(session):
            emitted = await triggers.emit_all(
                session, signals, lease=lease, patience=self.options.postgres_timeout
            )
            envelopes = await _envelopes(session, signals, emitted, numbered=numbered)
        await reach("emit.before_commit")
        if starts is not None and lease is not None:
            starts += _starts(signals, emitted)
        return envelopes

    def new_trigger(self, signal: TriggerInput, *, cause: Cause | None = None) -> NewTrigger:
        """Give a checked signal the form in which it is stored.

        Raises:
            PayloadError: The payload does not fit the registered schema.
            JsonValueError: The payload is no canonical JSON, or is too large.
        """
        payload = self.intake.payload(signal)
        return NewTrigger(
            id=new_id("trg"),
            signal=signal,
            payload=payload,
            request_hash=request_hash(signal, payload),
            task_queue=self.options.task_queue,
            cause=cause,
            most_runs=self.options.limits.runs_per_signal,
            most_steps=self.options.limits.steps_per_signal,
        )


async def _envelopes(
    session: Session,
    signals: Sequence[NewTrigger],
    emitted: Sequence[Emitted | None],
    *,
    numbered: bool,
) -> list[TriggerEnvelope]:
    """Give what was stored, and the first trigger of each key that was taken."""
    pairs = list(zip(signals, emitted, strict=True))
    taken = [trigger.key for trigger, stored in pairs if stored is None and trigger.key]
    found = await triggers.find_by_keys(session, taken) if taken else {}
    return [
        known(trigger, found, index=index if numbered else None)
        if stored is None
        else _envelope(trigger, stored)
        for index, (trigger, stored) in enumerate(pairs)
    ]


def _starts(
    signals: Sequence[NewTrigger], emitted: Sequence[Emitted | None]
) -> list[PlannedStart]:
    return [
        _start(trigger, planned.run_id, planned.command)
        for trigger, stored in zip(signals, emitted, strict=True)
        if stored is not None
        for planned in stored.runs
        if planned.command is not None
    ]


def _start(trigger: NewTrigger, run_id: str, command: PlannedCommand) -> PlannedStart:
    start = RunStart(
        run_id=run_id,
        tenant_id=trigger.signal.tenant_id,
        trigger_id=trigger.id,
        definition_id=command.snapshot.definition_id,
        generation=1,
        snapshot=command.snapshot,
        is_replay=trigger.is_replay,
        is_dry_run=trigger.is_dry_run,
    )
    return PlannedStart(command.outbox_id, start)


def _envelope(trigger: NewTrigger, emitted: Emitted) -> TriggerEnvelope:
    cause = trigger.cause
    return TriggerEnvelope.model_construct(
        **dict(trigger.signal) | {"payload": from_json(trigger.payload)},
        id=trigger.id,
        created_at=emitted.created_at,
        run_ids=tuple(planned.run_id for planned in emitted.runs),
        caused_by_run_id=cause.run_id if cause else None,
        root_trigger_id=cause.root_trigger_id if cause else None,
        depth=cause.depth if cause else 0,
        is_replay=cause.is_replay if cause else False,
    )
