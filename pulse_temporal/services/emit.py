"""Turn a signal into a stored trigger and planned runs, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    EmitBusyError,
    IdempotencyConflictError,
    PostgresUnavailableError,
    SignalError,
)
from pulse_temporal.failpoints import reach
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.canonical import canonical_object
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.dispatch import Dispatcher, PlannedStart
from pulse_temporal.services.intake import Intake
from pulse_temporal.store import outbox, triggers
from pulse_temporal.store.connection import Connection
from pulse_temporal.store.database import Database, Session, transact
from pulse_temporal.store.triggers import Cause, Emitted, NewTrigger, PlannedRun
from pulse_temporal.temporal import RunStart

log = logging.getLogger(__name__)


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
        self.intake = Intake(registry, options)
        self.dispatcher = dispatcher
        self.options = options
        self._joined: dict[int, list[PlannedStart]] = {}

    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan its runs; see ``Engine.emit``."""
        parsed = self.intake.parse_from_outside(signal)
        return await self.store(self._new_trigger(parsed), connection=connection)

    async def emit_caused(
        self,
        signal: TriggerInput,
        *,
        run: WorkflowRun,
        trigger: TriggerEnvelope,
        key: str,
        connection: Connection | None,
    ) -> TriggerEnvelope:
        """Store a signal that a handler emits: once for its key, whatever the payload.

        Args:
            signal: From ``intake.parse_for``.
            run: The run whose handler emits.
            trigger: The signal that started that run.
            key: Stable over attempts: run, path, type and ordinal.
            connection: Of a transactional action, which the signal then joins.

        Raises:
            SignalError: The chain of signals is too long, or the first one has caused too many.
        """
        if run.is_dry_run:
            return _unsent(signal, run=run)
        depth = trigger.depth + 1
        if depth > self.options.limits.chain_depth:
            raise SignalError(
                f"Signal {signal.type!r} is number {depth} in a chain of signals that cause each "
                f"other; at most {self.options.limits.chain_depth} are accepted. "
                "Do two workflows start each other?"
            )
        root = trigger.root_trigger_id or trigger.id
        if connection is None:
            async with self.database.session() as session:
                await self._check_number(session, signal, root_trigger_id=root, key=key)
        else:  # another connection, while this one is held, could be one too many
            session = await self.database.join(connection)
            await self._check_number(session, signal, root_trigger_id=root, key=key)
        cause = Cause(
            run_id=run.id,
            root_trigger_id=root,
            depth=depth,
            is_replay=run.is_replay,
        )
        keyed = signal.model_copy(update={"idempotency_key": key})
        return await self.store(self._new_trigger(keyed, cause=cause), connection=connection)

    async def _check_number(
        self, session: Session, signal: TriggerInput, *, root_trigger_id: str, key: str
    ) -> None:
        """Refuse what would grow for ever in breadth; signals at the same moment may pass."""
        limit = self.options.limits.chain_signals
        caused = await triggers.count_caused(
            session, tenant_id=signal.tenant_id, root_trigger_id=root_trigger_id, limit=limit
        )
        if caused < limit:
            return
        known = await triggers.find_by_key(session, tenant_id=signal.tenant_id, key=key)
        if known is None:
            raise SignalError(
                f"Signal {signal.type!r} is one too many: trigger {root_trigger_id} has caused "
                f"{limit} signals already, which is what limits.chain_signals allows."
            )

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
            request_hash=_request_hash(signal, payload),
            task_queue=self.options.task_queue,
            owner=owner,
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
        if connection is not None:
            return await self._store_joined(trigger, connection)
        lease = self.options.emit_lease if self.dispatcher.accepts else None
        async with self.database.session() as session:
            with _busy_errors(trigger):
                emitted = await triggers.emit_signal(session, trigger, lease=lease)
                if emitted is None:
                    return await self._known(session, trigger)
        await reach("emit.after_commit")
        if lease is not None:
            self.dispatcher.offer([_start(trigger, planned) for planned in emitted.runs])
        return _envelope(trigger, emitted)

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
        if starts:
            await reach("emit.after_commit")
            async with self.database.session() as session:  # a savepoint may have undone some
                ids = [planned.command_id for planned in starts]
                kept = await outbox.existing(session, ids)
            self.dispatcher.offer([planned for planned in starts if planned.command_id in kept])

    async def _store_joined(self, trigger: NewTrigger, connection: Connection) -> TriggerEnvelope:
        session = await self.database.join(connection)
        starts = self._joined.get(id(connection))
        ours = starts is not None and self.dispatcher.accepts
        lease = self.options.emit_lease if ours else None
        with _busy_errors(trigger):
            async with transact(session):
                emitted = await triggers.emit_signal(
                    session, trigger, lease=lease, patience=self.options.postgres_timeout
                )
                if emitted is None:
                    return await self._known(session, trigger)
        await reach("emit.before_commit")
        if starts is not None and ours:
            starts += [_start(trigger, planned) for planned in emitted.runs]
        return _envelope(trigger, emitted)

    def _new_trigger(self, signal: TriggerInput, *, cause: Cause | None = None) -> NewTrigger:
        payload = self.intake.payload(signal)
        return NewTrigger(
            id=new_id("trg"),
            signal=signal,
            payload=payload,
            request_hash=_request_hash(signal, payload),
            task_queue=self.options.task_queue,
            cause=cause,
        )

    async def _known(self, session: Session, trigger: NewTrigger) -> TriggerEnvelope:
        """Give the trigger of the key; of a handler's emits and of ticks the first one wins."""
        signal, cause = trigger.signal, trigger.cause
        known = await triggers.find_by_key(
            session, tenant_id=signal.tenant_id, key=signal.idempotency_key or ""
        )
        if known is None:
            raise EmitBusyError("The idempotency key was taken and given back; emit again.")
        if known.request_hash == trigger.request_hash:
            return known.trigger
        if cause is None and trigger.owner is None:
            raise IdempotencyConflictError(
                f"The idempotency key {signal.idempotency_key!r} belongs to trigger "
                f"{known.trigger.id}, whose content differs from this signal's.",
                trigger_id=known.trigger.id,
            )
        log.warning(
            "a repeated step or tick emitted other content; the first emit stands",
            extra={"run_id": cause and cause.run_id, "trigger_id": known.trigger.id},
        )
        return known.trigger


@contextmanager
def _busy_errors(trigger: NewTrigger) -> Generator[None]:
    """Tell a wait for another transaction's key from a database that is away."""
    try:
        yield
    except PostgresUnavailableError as error:
        if trigger.signal.idempotency_key is None or not isinstance(error.__cause__, TimeoutError):
            raise
        raise EmitBusyError(
            "Postgres gave no answer in time; another open transaction may have used this "
            "idempotency key. Emit again."
        ) from error


def _start(trigger: NewTrigger, planned: PlannedRun) -> PlannedStart:
    start = RunStart(
        run_id=planned.run_id,
        tenant_id=trigger.signal.tenant_id,
        trigger_id=trigger.id,
        definition_id=planned.snapshot.definition_id,
        generation=1,
        snapshot=planned.snapshot,
        is_replay=trigger.is_replay,
        is_dry_run=trigger.is_dry_run,
    )
    return PlannedStart(planned.outbox_id, start)


def _envelope(trigger: NewTrigger, emitted: Emitted) -> TriggerEnvelope:
    cause = trigger.cause
    return TriggerEnvelope.model_construct(
        **dict(trigger.signal),
        id=trigger.id,
        created_at=emitted.created_at,
        run_ids=tuple(planned.run_id for planned in emitted.runs),
        caused_by_run_id=cause.run_id if cause else None,
        root_trigger_id=cause.root_trigger_id if cause else None,
        depth=cause.depth if cause else 0,
        is_replay=cause.is_replay if cause else False,
    )


def _unsent(signal: TriggerInput, *, run: WorkflowRun) -> TriggerEnvelope:
    """Give what a dry run would have emitted; nothing is stored."""
    return TriggerEnvelope.model_construct(
        **dict(signal),
        id=new_id("trg"),
        created_at=run.updated_at,
        caused_by_run_id=run.id,
        is_replay=True,
    )


def _request_hash(signal: TriggerInput, payload: str) -> str:
    """Hash all that an idempotency key stands for."""
    parts = (signal.source, signal.type, signal.resource_type, signal.resource_id)
    text = "\x00".join(repr(part) for part in (*parts, signal.environment, payload))
    return sha256(text.encode()).hexdigest()
