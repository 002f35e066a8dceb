"""Stored signals, and what storing one sets in motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

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


class IdempotencyKey(NamedTuple):
    """What makes many emits of one tenant one signal."""

    tenant_id: str
    text: str


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

    @property
    def may_gather(self) -> bool:
        """It has no key, cause or flag of its own, so it may be stored together with others."""
        is_plain = self.cause is None and self.owner is None and not self.is_stored
        return is_plain and self.signal.idempotency_key is None

    @property
    def key(self) -> IdempotencyKey | None:
        """What its tenant calls it; None when it is a signal of its own each time."""
        text = self.signal.idempotency_key
        return None if text is None else IdempotencyKey(self.signal.tenant_id, text)


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


async def emit_signals(
    session: Session,
    signals: Sequence[NewTrigger],
    *,
    lease: timedelta | None,
    patience: timedelta | None = None,
) -> list[Emitted | None]:
    """Store signals with all runs they start, all or none of them, in one statement.

    Args:
        session: Any connection; on one in a transaction everything joins it.
        signals: At least one. Cause, owner, task queue and the flags are those of the first.
        lease: For how long the relay leaves the starts to the caller; None: not at all.
        patience: Bound of the statement on a connection that has none: another transaction may
            hold a key.

    Returns:
        What became of each, in the order given; None where the idempotency key is taken.
    """
    first = signals[0]
    cause = first.cause
    contents = [
        (
            each.id,
            each.signal.tenant_id,
            each.signal.source,
            each.signal.type,
            each.signal.resource_type,
            each.signal.resource_id,
            each.signal.environment,
            each.payload,
            each.signal.idempotency_key,
            each.request_hash,
        )
        for each in signals
    ]
    found = await session.rows(
        "triggers.emit_signal" if len(signals) == 1 else "triggers.emit_signals",
        *zip(*contents, strict=True),
        cause.run_id if cause else None,
        cause.root_trigger_id if cause else None,
        cause.depth if cause else 0,
        first.is_replay,
        lease,
        first.owner,
        first.is_stored,
        first.is_dry_run,
        first.task_queue,
        patience=patience,
    )
    planned: dict[str, list[PlannedRun]] = {}
    for row in found:
        runs = planned.setdefault(row["id"], [])
        if row["run_id"] is not None:
            runs.append(
                PlannedRun(row["run_id"], rows.snapshot(row["snapshot"]), row["outbox_id"])
            )
    if not found:
        return [None] * len(signals)
    created_at = found[0]["created_at"]
    return [
        Emitted(created_at, tuple(planned[each.id])) if each.id in planned else None
        for each in signals
    ]


async def count_caused(
    session: Session, *, tenant_id: str, root_trigger_id: str, limit: int
) -> int:
    """Say how many signals a first signal has caused, at most ``limit``."""
    row = await session.row("triggers.count_caused", tenant_id, root_trigger_id, limit)
    return rows.required(row, "a count")["caused"]


async def find_by_keys(
    session: Session, keys: Sequence[IdempotencyKey]
) -> dict[IdempotencyKey, KnownTrigger]:
    """Read the triggers that tenants' idempotency keys belong to; unknown keys are left out."""
    found = await session.rows(
        "triggers.find_by_keys",
        [key.tenant_id for key in keys],
        [key.text for key in keys],
    )
    return {
        IdempotencyKey(row["tenant_id"], row["idempotency_key"]): KnownTrigger(
            rows.trigger(row, duplicate=True), row["request_hash"] or ""
        )
        for row in found
    }


async def get_trigger(
    session: Session, trigger_id: str, *, tenant_id: str | None
) -> TriggerEnvelope | None:
    """Read a trigger; with a tenant, only that tenant's."""
    row = await session.row("triggers.get_trigger", trigger_id, tenant_id)
    return rows.trigger(row) if row else None
