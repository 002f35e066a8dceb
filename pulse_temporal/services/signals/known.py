"""Decide what an emit returns when its idempotency key was used before."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from pulse_temporal.errors import EmitBusyError, IdempotencyConflictError
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.store.triggers import IdempotencyKey, KnownTrigger, NewTrigger

log: logging.Logger = logging.getLogger(__name__)


def request_hash(signal: TriggerInput, payload: str) -> str:
    """Return the SHA-256 of everything that must be equal when an idempotency key comes again.

    Args:
        signal: The signal; its ``payload`` is not read.
        payload: The payload as canonical JSON text.
    """
    text = "\x00".join(repr(part) for part in (*_facts(signal), payload))
    return sha256(text.encode()).hexdigest()


def known(trigger: NewTrigger, found: Mapping[IdempotencyKey, KnownTrigger]) -> TriggerEnvelope:
    """Return a copy of the trigger that a signal's key belongs to; of two ticks, the first.

    A copy, because several signals of one list may have the same key, and the caller may change
    the payload of one.

    Args:
        trigger: A signal that was not stored, because its key is taken.
        found: Stored triggers by key.

    Raises:
        EmitBusyError: The key is free again, as its transaction was rolled back meanwhile.
        IdempotencyConflictError: The key stands for other content.
    """
    first = found.get(trigger.key) if trigger.key else None
    if first is None:
        raise EmitBusyError("The idempotency key was taken and given back; emit again.")
    if _is_same(trigger, first):
        return first.trigger.model_copy(deep=True)
    # A definition may have changed between two deliveries of a tick: that is not a conflict.
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
    """Return whether a stored signal has the content of this one.

    Equal hashes prove it; different ones prove nothing, as signals emitted from SQL have none.
    Then the contents are compared, and numbers as Postgres compares them.
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
    """Return parsed JSON in which numbers are equal as in jsonb: ``1``, ``1.0`` and ``1e0``.

    A number becomes a tuple, as no other JSON value does: in Python, ``True == 1``.
    """

    def number(digits: str) -> tuple[Decimal]:
        return (Decimal(digits),)

    return json.loads(text, parse_int=number, parse_float=number)
