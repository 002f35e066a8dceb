"""Stored signals, and what storing one sets in motion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.store import rows
from pulse_temporal.store.database import Session


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that an emit has planned, and the command that starts it."""

    run_id: str
    snapshot: DefinitionSnapshot
    outbox_id: int


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a handler emit a signal.

    Attributes:
        run_id: The run whose handler emits.
        root_trigger_id: First signal of the chain.
        depth: Of the new signal.
        is_replay: The run is a replay.
    """

    run_id: str
    root_trigger_id: str
    depth: int
    is_replay: bool


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A signal as it is to be stored.

    Attributes:
        signal: Valid, its payload excepted.
        payload: Canonical JSON text, which takes that payload's place.
        request_hash: Of everything that the idempotency key stands for.
        task_queue: Of the engines that share its runs.
        cause: The run that emits; None from outside.
        owner: The definition whose cron ticked; of the others only those without cron match.
        is_stored: The trigger is in the database; its runs are a replay.
        is_dry_run: The replay only evaluates conditions.
    """

    id: str
    signal: TriggerInput
    payload: str
    request_hash: str
    task_queue: str
    cause: Cause | None = None
    owner: str | None = None
    is_stored: bool = False
    is_dry_run: bool = False

    @property
    def is_replay(self) -> bool:
        """Its runs are replays: asked for, or caused by one."""
        return self.is_stored or (self.cause is not None and self.cause.is_replay)


@dataclass(frozen=True, slots=True)
class Emitted:
    """What one emit has stored: runs by the age of their definitions, oldest first."""

    created_at: datetime
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True, slots=True)
class KnownTrigger:
    """The trigger that an idempotency key belongs to, and a hash of what it was."""

    trigger: TriggerEnvelope
    request_hash: str


async def emit_signal(
    session: Session,
    trigger: NewTrigger,
    *,
    lease: timedelta | None,
    patience: timedelta | None = None,
) -> Emitted | None:
    """Store a signal with all runs it starts; None when its idempotency key is taken.

    Args:
        session: Any connection; on one in a transaction everything joins it.
        trigger: What to store.
        lease: For how long the relay leaves the starts to the caller; None: not at all.
        patience: Bound of the statement on a connection that has none: another transaction may
            hold the key.
    """
    signal, cause = trigger.signal, trigger.cause
    found = await session.rows(
        "triggers.emit_signal",
        trigger.id,
        signal.tenant_id,
        signal.source,
        signal.type,
        signal.resource_type,
        signal.resource_id,
        signal.environment,
        trigger.payload,
        signal.idempotency_key,
        trigger.request_hash,
        cause.run_id if cause else None,
        cause.root_trigger_id if cause else None,
        cause.depth if cause else 0,
        trigger.is_replay,
        lease,
        trigger.owner,
        trigger.is_stored,
        trigger.is_dry_run,
        trigger.task_queue,
        patience=patience,
    )
    if not found:
        return None
    planned = [
        PlannedRun(row["run_id"], rows.snapshot(row["snapshot"]), row["outbox_id"])
        for row in found
        if row["run_id"] is not None
    ]
    return Emitted(created_at=found[0]["created_at"], runs=tuple(planned))


async def count_caused(
    session: Session, *, tenant_id: str, root_trigger_id: str, limit: int
) -> int:
    """Say how many signals a first signal has caused, at most ``limit``."""
    row = await session.row("triggers.count_caused", tenant_id, root_trigger_id, limit)
    return rows.required(row, "a count")["caused"]


async def find_by_key(session: Session, *, tenant_id: str, key: str) -> KnownTrigger | None:
    """Read the trigger that a tenant's idempotency key belongs to."""
    row = await session.row("triggers.find_by_key", tenant_id, key)
    if row is None:
        return None
    return KnownTrigger(rows.trigger(row, duplicate=True), row["request_hash"] or "")


async def get_trigger(
    session: Session, trigger_id: str, *, tenant_id: str | None
) -> TriggerEnvelope | None:
    """Read a trigger; with a tenant, only that tenant's."""
    row = await session.row("triggers.get_trigger", trigger_id, tenant_id)
    return rows.trigger(row) if row else None
