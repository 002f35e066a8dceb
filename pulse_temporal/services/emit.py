"""Turn a signal into a stored trigger and planned runs, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from hashlib import sha256

from pydantic import ValidationError

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    EmitBusyError,
    IdempotencyConflictError,
    PayloadError,
    PostgresUnavailableError,
    SignalError,
    SignalMismatchError,
    UnknownSignalError,
)
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.canonical import canonical_object
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.plain import json_pointer
from pulse_temporal.model.problems import explain, to_problems
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.dispatch import Dispatcher, PlannedStart
from pulse_temporal.store import triggers
from pulse_temporal.store.connection import Connection
from pulse_temporal.store.database import Database, Session
from pulse_temporal.store.triggers import Cause, Emitted, NewTrigger, PlannedRun
from pulse_temporal.temporal import RunStart

log = logging.getLogger(__name__)

KEY_PREFIXES = ("cron:", "chain:", "replay:")
"""Idempotency keys that begin like this belong to Pulse."""


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
        self.registry = registry
        self.dispatcher = dispatcher
        self.options = options

    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan its runs; see ``Engine.emit``."""
        parsed = self.parse(signal)
        if parsed.idempotency_key is not None and parsed.idempotency_key.startswith(KEY_PREFIXES):
            raise SignalError(
                f"idempotencyKey must not begin with {', '.join(KEY_PREFIXES)}: "
                "those keys belong to Pulse."
            )
        if connection is not None:
            return await self.store_joined(parsed, connection)
        return await self.store(parsed)

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
            signal: From ``parse_for``.
            run: The run whose handler emits.
            trigger: The signal that started that run.
            key: Stable over attempts: run, path, type and ordinal.
            connection: Of a transactional action, which the signal then joins.

        Raises:
            SignalError: The chain of signals is too long.
        """
        depth = trigger.depth + 1
        if depth > self.options.limits.chain_depth:
            raise SignalError(
                f"Signal {signal.type!r} is number {depth} in a chain of signals that cause each "
                f"other; at most {self.options.limits.chain_depth} are accepted. "
                "Do two workflows start each other?"
            )
        cause = Cause(
            run_id=run.id,
            root_trigger_id=trigger.root_trigger_id or trigger.id,
            depth=depth,
            is_replay=run.is_replay,
        )
        keyed = signal.model_copy(update={"idempotency_key": key})
        if connection is not None:
            return await self.store_joined(keyed, connection, cause=cause)
        return await self.store(keyed, cause=cause)

    def parse_for(
        self, signal: TriggerInput | Mapping[str, object], *, tenant_id: str
    ) -> TriggerInput:
        """Check a handler's signal, which may leave its tenant out, and which names no other.

        Raises:
            SignalError: As ``parse``, or the signal names another tenant.
        """
        if not isinstance(signal, TriggerInput):
            has_tenant = "tenantId" in signal or "tenant_id" in signal
            signal = signal if has_tenant else {"tenantId": tenant_id, **signal}
        parsed = self.parse(signal)
        if parsed.tenant_id != tenant_id:
            raise SignalError(
                f"A handler may only emit for its run's tenant {tenant_id!r}, "
                f"not for {parsed.tenant_id!r}."
            )
        return parsed

    def parse(self, signal: TriggerInput | Mapping[str, object]) -> TriggerInput:
        """Check a signal against its fields and its registration, all but its payload's size.

        Raises:
            SignalError: A field is missing, unknown or malformed.
            UnknownSignalError: Its type is not registered.
            SignalMismatchError: Source or resource type differs from the registration.
        """
        if isinstance(signal, TriggerInput):
            parsed = signal
        else:
            try:
                parsed = TriggerInput.model_validate(signal)
            except ValidationError as error:
                reasons = _reasons(error, signal)
                raise SignalError(f"The signal is malformed: {reasons}") from error
        self._check_registration(parsed)
        return parsed

    async def store(self, signal: TriggerInput, *, cause: Cause | None = None) -> TriggerEnvelope:
        """Store in a transaction of its own and start the runs at once."""
        trigger = self._new_trigger(signal, cause)
        lease = self.options.emit_lease if self.dispatcher.accepts else None
        with _busy_errors(trigger):
            async with self.database.session() as session:
                emitted = await triggers.emit_signal(session, trigger, lease=lease)
                if emitted is None:
                    return await self._known(session, trigger)
        if lease is not None:
            self.dispatcher.offer([_start(trigger, planned) for planned in emitted.runs])
        return _envelope(trigger, emitted)

    async def store_joined(
        self, signal: TriggerInput, connection: Connection, *, cause: Cause | None = None
    ) -> TriggerEnvelope:
        """Store on the caller's connection, in a savepoint when it is in a transaction.

        The runs exist, and start, when the caller commits. Serialization failures pass through.
        """
        trigger = self._new_trigger(signal, cause)
        session = await self.database.join(connection)
        with _busy_errors(trigger):
            async with connection.transaction():
                emitted = await triggers.emit_signal(session, trigger, lease=None)
                if emitted is None:
                    return await self._known(session, trigger)
        return _envelope(trigger, emitted)

    def _new_trigger(self, signal: TriggerInput, cause: Cause | None) -> NewTrigger:
        payload = self._payload(signal)
        return NewTrigger(
            id=new_id("trg"),
            signal=signal,
            payload=payload,
            request_hash=_request_hash(signal, payload),
            cause=cause,
        )

    async def _known(self, session: Session, trigger: NewTrigger) -> TriggerEnvelope:
        """Give the trigger that the key belongs to; for a handler's emit the first one wins."""
        signal, cause = trigger.signal, trigger.cause
        known = await triggers.find_by_key(
            session, tenant_id=signal.tenant_id, key=signal.idempotency_key or ""
        )
        if known is None:
            raise EmitBusyError("The idempotency key was taken and given back; emit again.")
        if known.request_hash == trigger.request_hash:
            return known.trigger
        if cause is None:
            raise IdempotencyConflictError(
                f"The idempotency key {signal.idempotency_key!r} belongs to trigger "
                f"{known.trigger.id}, whose content differs from this signal's.",
                trigger_id=known.trigger.id,
            )
        log.warning(
            "a repeated step emitted other content; the first emit stands",
            extra={"run_id": cause.run_id, "trigger_id": known.trigger.id},
        )
        return known.trigger

    def _payload(self, signal: TriggerInput) -> str:
        """Give the payload as canonical JSON text, after its registered schema has seen it."""
        limit = self.options.limits.payload_bytes
        text = canonical_object(signal.payload, where="payload", max_bytes=limit)
        registration = self.registry.triggers.get(signal.type)
        if registration is not None and registration.payload_schema is not None:
            try:
                registration.payload_schema.model_validate_json(text)
            except ValidationError as error:
                reasons = _payload_reasons(error)
                raise PayloadError(
                    f"The payload of {signal.type!r} does not fit its schema: {reasons}"
                ) from error
        return text

    def _check_registration(self, signal: TriggerInput) -> None:
        registration = self.registry.triggers.get(signal.type)
        if registration is None:
            if self.options.unregistered_signals == "accept":
                return
            hint = self.registry.suggestion(signal.type)
            raise UnknownSignalError(f"Signal type {signal.type!r} is not registered.{hint}")
        if signal.source != registration.source:
            raise SignalMismatchError(
                f"Signals of type {signal.type!r} come from source {registration.source!r}, "
                f"not {signal.source!r}."
            )
        expected = registration.resource_type
        if expected is not None and signal.resource_type != expected:
            raise SignalMismatchError(
                f"Signals of type {signal.type!r} are about resource type {expected!r}, "
                f"not {signal.resource_type!r}."
            )


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


def _request_hash(signal: TriggerInput, payload: str) -> str:
    """Hash all that an idempotency key stands for."""
    parts = (signal.source, signal.type, signal.resource_type, signal.resource_id)
    text = "\x00".join(repr(part) for part in (*parts, signal.environment, payload))
    return sha256(text.encode()).hexdigest()


def _reasons(error: ValidationError, data: Mapping[str, object]) -> str:
    """Say what is wrong with a signal, with JSON pointers, hints, and none of the values."""
    problems = to_problems(explain(error, data=data, model=TriggerInput), data=data)
    return "; ".join(str(problem) for problem in problems)


def _payload_reasons(error: ValidationError) -> str:
    """Say what an application's schema refuses, without the values: they may be secrets."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(
        f"{json_pointer(problem['loc']) or '/'}: {problem['msg']}" for problem in found
    )
