"""Stored signals, and what storing one sets in motion."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from pulse_temporal.errors import (
    EmitBusyError,
    InvalidInputError,
    NotUnderstoodError,
    PostgresUnavailableError,
    SignalLimitError,
)
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows
from pulse_temporal.store.snapshots import snapshot as snapshot_of

TOGETHER = 100
"""Signals that one statement stores, at most."""

LOCK_SHARE = 0.75
"""Part of a statement's bound after which a wait for a lock ends it, and says so."""

REFUSALS = (asyncpg.PostgresError, InvalidInputError)
"""What ``send_signals`` raises when Postgres has refused the statement and stored nothing."""


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """A start command in the outbox, and the definition that its run follows."""

    outbox_id: int
    snapshot: DefinitionSnapshot


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that an emit has planned.

    ``command``: Starts it; None when this release cannot read the definition. The command waits
    in the outbox then, for the relay of a newer release.
    """

    run_id: str
    command: PlannedCommand | None


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
        index: Its place in the list that it was emitted in; None: it was emitted alone.
        is_stored: The trigger is in the database; its runs are a replay.
        is_dry_run: The replay only evaluates conditions.
        most_runs: Bound of the runs that it may start, and most_steps of all their steps.
    """

    id: str
    signal: TriggerInput
    payload: str
    request_hash: str
    task_queue: str
    cause: Cause | None = None
    owner: str | None = None
    index: int | None = None
    is_stored: bool = False
    is_dry_run: bool = False
    most_runs: int | None = None
    most_steps: int | None = None

    @property
    def is_replay(self) -> bool:
        """Its runs are replays: asked for, or caused by one."""
        return self.is_stored or (self.cause is not None and self.cause.is_replay)

    @property
    def is_tick(self) -> bool:
        """It is what a cron emits, and no replay of that."""
        return self.owner is not None and not self.is_stored

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
    """The trigger that an idempotency key belongs to.

    Attributes:
        payload: JSON text, as Postgres writes it.
        request_hash: Of what it was; empty when SQL has emitted it.
    """

    trigger: TriggerEnvelope
    payload: str
    request_hash: str


async def emit_all(
    session: Session,
    signals: Sequence[NewTrigger],
    *,
    lease: timedelta | None,
    timeout: timedelta | None = None,
) -> list[Emitted | None]:
    """Store any number of signals, with statements of at most ``TOGETHER``; as ``emit_signals``.

    Several need a session in a transaction; ``timeout`` is of each statement.

    Raises:
        EmitBusyError: Another open transaction uses a key. Of one signal with a key every
            timeout is called so; with several, only what was a wait for a lock.
        PostgresUnavailableError: No answer; also when the signals match too much to be stored
            in time.
    """
    has_keys = any(each.key is not None for each in signals)
    if len(signals) == 1:
        with _told_apart(has_keys=has_keys, number=1):
            return await emit_signals(session, signals, lease=lease, timeout=timeout)
    before = None
    if has_keys:
        seconds = timeout.total_seconds() if timeout else session.timeout_seconds
        lock_timeout_ms = max(1, int(seconds * LOCK_SHARE * 1000))
        before = await _set_lock_timeout(session, str(lock_timeout_ms), timeout=timeout)
    emitted: list[Emitted | None] = [None] * len(signals)
    for part in _parts(signals):
        with _told_apart(has_keys=has_keys, number=len(signals)):
            own = [signals[index] for index in part]
            found = await emit_signals(session, own, lease=lease, timeout=timeout)
        for index, stored in zip(part, found, strict=True):
            emitted[index] = stored
    if before is not None:  # the transaction may be the caller's
        await _set_lock_timeout(session, before, timeout=timeout)
    return emitted


async def _set_lock_timeout(session: Session, value: str, *, timeout: timedelta | None) -> str:
    found = await session.rows_within("triggers.set_lock_timeout", timeout, timeout=value)
    return found[0]["before"]


@contextmanager
def _told_apart(*, has_keys: bool, number: int) -> Generator[None]:
    """Tell a wait for another transaction's key from too much work and a database that is away."""
    try:
        yield
    except PostgresUnavailableError as error:
        if has_keys and isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            raise EmitBusyError(
                "Another open transaction has used this idempotency key, or one of these, and "
                "did not end in time. Emit again."
            ) from error
        if not isinstance(error.__cause__, TimeoutError) or (number == 1 and not has_keys):
            raise
        if number == 1:
            raise EmitBusyError(
                "Postgres gave no answer in time; another open transaction may have used this "
                "idempotency key. Emit again."
            ) from error
        raise PostgresUnavailableError(
            f"Postgres did not store {number} signals in time. Each run they start and each of "
            "its steps counts too: fewer signals at once may do."
        ) from error


def _parts(signals: Sequence[NewTrigger]) -> Iterator[list[int]]:
    """Cut a list for several statements; keys are taken in the order in which one takes them."""

    def locked_as(index: int) -> tuple[bool, str, str]:
        tenant_id, text = signals[index].key or ("", "")
        return signals[index].key is None, tenant_id, text

    order = sorted(range(len(signals)), key=locked_as)
    for first in range(0, len(order), TOGETHER):
        yield sorted(order[first : first + TOGETHER])


async def emit_signals(
    session: Session,
    signals: Sequence[NewTrigger],
    *,
    lease: timedelta | None,
    timeout: timedelta | None = None,
) -> list[Emitted | None]:
    """Store signals with all runs they start, all or none of them, in one statement.

    Args:
        session: Any connection; on one in a transaction everything joins it.
        signals: At least one. Cause, owner, task queue and the flags are those of the first.
        lease: For how long the relay leaves the starts to the caller; None: not at all.
        timeout: Bound of the statement; the caller's connection may have none.

    Returns:
        What became of each, in the order given; None where the idempotency key is taken.
    """
    found = await send_signals(session, signals, lease=lease, timeout=timeout)
    return read_emitted(signals, found)


async def send_signals(
    session: Session,
    signals: Sequence[NewTrigger],
    *,
    lease: timedelta | None,
    timeout: timedelta | None = None,
) -> list[Record]:
    """Do as ``emit_signals``, and give what ``read_emitted`` reads.

    For callers who must know whether a failure came before or after the signals were stored.

    Raises:
        SignalLimitError: One of them would start too many runs, or runs with too many steps.
    """
    first = signals[0]
    cause = first.cause
    try:
        return await session.rows_within(
            _statement(signals),
            timeout,
            ids=[each.id for each in signals],
            tenant_ids=[each.signal.tenant_id for each in signals],
            sources=[each.signal.source for each in signals],
            types=[each.signal.type for each in signals],
            resource_types=[each.signal.resource_type for each in signals],
            resource_ids=[each.signal.resource_id for each in signals],
            environments=[each.signal.environment for each in signals],
            payloads=[each.payload for each in signals],
            idempotency_keys=[each.signal.idempotency_key for each in signals],
            request_hashes=[each.request_hash for each in signals],
            caused_by_run_id=cause.run_id if cause else None,
            root_trigger_id=cause.root_trigger_id if cause else None,
            depth=cause.depth if cause else 0,
            is_replay=first.is_replay,
            lease=lease,
            owner=first.owner,
            replayed=first.is_stored,
            is_dry_run=first.is_dry_run,
            task_queue=first.task_queue,
            dialect=DIALECT,
            most_runs=first.most_runs,
            most_steps=first.most_steps,
        )
    except asyncpg.ProgramLimitExceededError as error:
        if error.constraint_name is None:  # a bound of Postgres itself
            raise
        raise SignalLimitError(error.args[0], limit=error.constraint_name) from None


def _statement(signals: Sequence[NewTrigger]) -> str:
    if signals[0].is_tick:
        return "triggers.emit_tick"
    return "triggers.emit_signal" if len(signals) == 1 else "triggers.emit_signals"


def read_emitted(signals: Sequence[NewTrigger], found: Sequence[Record]) -> list[Emitted | None]:
    """Return what became of each signal that ``send_signals`` was given."""
    snapshots: dict[str, DefinitionSnapshot] = {}
    planned: dict[str, list[PlannedRun]] = {}
    for row in found:
        runs = planned.setdefault(row["id"], [])
        if row["run_id"] is None:
            continue
        definition_id = row["definition_id"]
        if row["snapshot"] is not None:
            # The signal is stored: what cannot be read fails neither it nor those beside it.
            with suppress(NotUnderstoodError):
                snapshots[definition_id] = snapshot_of(row["snapshot"])
        snapshot = snapshots.get(definition_id)
        command = None if snapshot is None else PlannedCommand(row["outbox_id"], snapshot)
        runs.append(PlannedRun(row["run_id"], command))
    if not found:
        return [None] * len(signals)
    created_at = found[0]["created_at"]
    return [
        Emitted(created_at, tuple(planned[each.id])) if each.id in planned else None
        for each in signals
    ]


async def send_again(
    session: Session,
    signals: Sequence[NewTrigger],
    *,
    lease: timedelta | None,
    timeout: timedelta | None,
) -> list[Record]:
    """Send signals of one statement again whose answer is lost; by their ids they are stored once.

    What was stored comes without commands, which are left to the relay.
    """
    try:
        return await send_signals(session, signals, lease=lease, timeout=timeout)
    except asyncpg.UniqueViolationError:
        found = await session.rows(
            "triggers.find_stored", trigger_ids=[each.id for each in signals]
        )
        if len({row["id"] for row in found}) < len(signals):
            raise  # it was another unique index
        return found


async def take_signals(session: Session) -> None:
    """Return when signals can be stored, also by what locks their table; none is stored."""
    await session.run("triggers.take_signals")


async def count_caused(
    session: Session, *, tenant_id: str, root_trigger_id: str, limit: int
) -> int:
    """Return how many signals a first signal has caused, at most ``limit``."""
    row = await session.row(
        "triggers.count_caused",
        tenant_id=tenant_id,
        root_trigger_id=root_trigger_id,
        row_limit=limit,
    )
    return rows.required(row, "a count")["caused"]


async def find_by_keys(
    session: Session, keys: Sequence[IdempotencyKey]
) -> dict[IdempotencyKey, KnownTrigger]:
    """Read the triggers that tenants' idempotency keys belong to; unknown keys are left out."""
    found = await session.rows(
        "triggers.find_by_keys",
        tenant_ids=[key.tenant_id for key in keys],
        idempotency_keys=[key.text for key in keys],
    )
    return {
        IdempotencyKey(row["tenant_id"], row["idempotency_key"]): KnownTrigger(
            rows.trigger(row, duplicate=True), row["payload"], row["request_hash"] or ""
        )
        for row in found
    }


async def get_trigger(
    session: Session, trigger_id: str, *, tenant_id: str | None
) -> TriggerEnvelope | None:
    """Read a trigger; with a tenant, only that tenant's."""
    row = await session.row("triggers.get_trigger", trigger_id=trigger_id, tenant_id=tenant_id)
    return rows.trigger(row) if row else None
