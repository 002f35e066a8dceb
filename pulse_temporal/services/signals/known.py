"""What an emit means whose idempotency key was used before."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from pulse_temporal.errors import EmitBusyError, IdempotencyConflictError
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.store.triggers import IdempotencyKey, KnownTrigger, NewTrigger

log = logging.getLogger(__name__)


def request_hash(signal: TriggerInput, payload: str) -> str:
    """Hash all that an idempotency key stands for.

    Args:
        signal: The signal, its payload excepted.
        payload: Canonical JSON text.
    """
    text = "\x00".join(repr(part) for part in (*_facts(signal), payload))
    return sha256(text.encode()).hexdigest()


def known(trigger: NewTrigger, found: Mapping[IdempotencyKey, KnownTrigger]) -> TriggerEnvelope:
    """Return a copy of the trigger that a signal's key belongs to; of ticks the first one wins.

    Several signals of one list may have the key, and a payload can be changed.

    Args:
        trigger: A signal that was not stored, because its key is taken.
        found: What the keys belong to.

    Raises:
        EmitBusyError: The key is free again.
        IdempotencyConflictError: The key stands for other content.
    """
    first = found.get(trigger.key) if trigger.key else None
    if first is None:
        raise EmitBusyError("The idempotency key was taken and given back; emit again.")
    if _is_same(trigger, first):
        return first.trigger.model_copy(deep=True)
    if trigger.owner is None:
        place = "" if trigger.index is None else f"signals[{trigger.index}]: "
        raise IdempotencyConflictError(
            f"{place}The idempotency key {trigger.signal.idempotency_key!r} belongs to trigger "
            f"{first.trigger.id}, whose content differs from this signal's.",
            trigger_id=first.trigger.id,
            index=trigger.index,
        )
    facts = {"trigger_id": first.trigger.id, "definition_id": trigger.owner}
    log.warning(
        "A repeated tick of definition %(definition_id)s emits other content than its first emit,"
        " trigger %(trigger_id)s, which stands.",
        facts,
        extra=facts,
    )
    return first.trigger.model_copy(deep=True)


def _is_same(trigger: NewTrigger, first: KnownTrigger) -> bool:
    """Return whether a stored signal has this content.

    Equal hashes prove it. Others do not refute it: what SQL emits has none, so contents are
    compared as Postgres compares them, there and here.
    """
    if first.request_hash == trigger.request_hash:
        return True
    is_equal = _facts(first.trigger) == _facts(trigger.signal)
    return is_equal and _numbered(first.payload) == _numbered(trigger.payload)


def _facts(signal: TriggerInput) -> tuple[str | None, ...]:
    return (
        signal.source,
        signal.type,
        signal.resource_type,
        signal.resource_id,
        signal.environment,
    )


def _numbered(text: str) -> object:
    """Parse JSON so that numbers are equal as in jsonb, whatever their spelling.

    A number becomes a tuple, which no other value is: for Python ``True == 1``.
    """

    def number(digits: str) -> tuple[Decimal]:
        return (Decimal(digits),)

    return json.loads(text, parse_int=number, parse_float=number)
