"""A signal that cannot be accepted is refused with a reason, and nothing at all is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg
import pytest
from pydantic import BaseModel

from pulse_temporal import (
    InvalidInputError,
    JsonValueError,
    PayloadError,
    SignalError,
    SignalMismatchError,
    TriggerInput,
    UnknownSignalError,
)
from pulse_temporal.testing import action
from tests.harness import SOURCE, TENANT, PulseTest

FILLED_BY_EMIT = (
    "pulse_triggers",
    "pulse_workflow_runs",
    "pulse_workflow_step_runs",
    "pulse_run_control",
    "pulse_run_events",
    "pulse_outbox",
)
CARD = "4711-0815"


class Payment(BaseModel):
    """The payload of ``payment.done``."""

    amount: int
    card: str = ""


@dataclass
class Bad:
    """A signal as a change to one that would be accepted, and what is said about it."""

    change: Mapping[str, object]
    error: type[InvalidInputError]
    says: str
    leaves_out: tuple[str, ...] = field(default=())


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth - 1):
        value = {"in": value}
    return value


BAD = {
    "misspelled type": Bad(
        {"type": "order.piad"}, UnknownSignalError, 'Did you mean "order.paid"?'
    ),
    "strange type": Bad({"type": "zzz"}, UnknownSignalError, "'zzz' is not registered"),
    "wrong source": Bad(
        {"source": "elsewhere"}, SignalMismatchError, "come from source 'test', not 'elsewhere'"
    ),
    "wrong resource type": Bad(
        {"type": "server.down", "resourceType": "printer"},
        SignalMismatchError,
        "are about resource type 'server', not 'printer'",
    ),
    "missing resource type": Bad({"type": "server.down"}, SignalMismatchError, "not None"),
    "payload of another type": Bad(
        {"type": "payment.done", "payload": {"amount": "much", "card": CARD}},
        PayloadError,
        "/amount",
    ),
    "payload with a gap": Bad({"type": "payment.done", "payload": {}}, PayloadError, "/amount"),
    "NaN": Bad({"payload": {"a": [float("nan")]}}, JsonValueError, "payload/a/0: NaN"),
    "infinity": Bad({"payload": {"a": float("-inf")}}, JsonValueError, "payload/a"),
    "NUL in a text": Bad({"payload": {"a": "x\0y"}}, JsonValueError, "payload/a"),
    "NUL in a key": Bad({"payload": {"a\0b": 1}}, JsonValueError, "NUL"),
    "lone surrogate": Bad({"payload": {"a": "\ud800"}}, JsonValueError, "lone surrogate"),
    "huge integer": Bad({"payload": {"a": 2**63}}, JsonValueError, "outside 64 bits"),
    "set": Bad({"payload": {"a": {1, 2}}}, JsonValueError, "payload/a"),
    "object": Bad({"payload": {"a": object()}}, JsonValueError, "payload/a"),
    "bytes": Bad({"payload": {"a": b"x"}}, JsonValueError, "payload/a"),
    "number as key": Bad({"payload": {"a": {1: 2}}}, JsonValueError, "keys must be text"),
    "1 MiB": Bad({"payload": {"a": "x" * 2**20}}, JsonValueError, "more than 262144 bytes"),
    "depth 100": Bad({"payload": nested(100)}, JsonValueError, "deeper than 64 levels"),
    "payload as list": Bad({"payload": [1]}, SignalError, "/payload"),
    "payload as text": Bad({"payload": "x"}, SignalError, "/payload"),
    "unknown field": Bad({"resourceIdd": "x"}, SignalError, "/resourceIdd"),
    "empty tenant": Bad({"tenantId": ""}, SignalError, "/tenantId"),
    "tenant with NUL": Bad({"tenantId": "a\0b"}, SignalError, "/tenantId"),
    "tenant as number": Bad({"tenantId": 7}, SignalError, "/tenantId"),
    "long tenant": Bad({"tenantId": "x" * 201}, SignalError, "/tenantId"),
    "long key": Bad({"idempotencyKey": "x" * 201}, SignalError, "/idempotencyKey"),
    "line break in a key": Bad({"idempotencyKey": "a\nb"}, SignalError, "/idempotencyKey"),
    "key of a tick": Bad({"idempotencyKey": "cron:x"}, SignalError, "must not begin with cron:"),
    "key of a chain": Bad({"idempotencyKey": "chain:x"}, SignalError, "must not begin with"),
    "key of a replay": Bad({"idempotencyKey": "replay:x"}, SignalError, "must not begin with"),
    "no tenant": Bad({}, SignalError, "/tenantId", leaves_out=("tenantId",)),
    "no source": Bad({}, SignalError, "/source", leaves_out=("source",)),
    "no type": Bad({}, SignalError, "/type", leaves_out=("type",)),
    "nothing": Bad({}, SignalError, "/tenantId", leaves_out=("tenantId", "source", "type")),
}


@pytest.fixture
async def ready(idle_pulse: PulseTest) -> PulseTest:
    """Return an engine on which a good signal would start a run."""
    pulse = idle_pulse
    pulse.action("act")
    await pulse.define("order.paid", "act")
    pulse.engine.register_trigger("server.down", source=SOURCE, resource_type="server")
    pulse.engine.register_trigger("payment.done", source=SOURCE, payload_schema=Payment)
    for type_ in ("server.down", "payment.done"):
        await pulse.engine.create_workflow(
            {"tenantId": TENANT, "name": type_, "triggerType": type_, "steps": [action("act")]}
        )
    return pulse


async def rows_stored(connection: asyncpg.Connection) -> dict[str, int]:
    """Count the rows of every table that an emit fills."""
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        for table in FILLED_BY_EMIT
    }


def as_signal(bad: Bad) -> dict[str, object]:
    good = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid", "payload": {"amount": 1}}
    signal = {**good, **bad.change}
    return {name: value for name, value in signal.items() if name not in bad.leaves_out}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_signal_is_refused_and_leaves_nothing(
    ready: PulseTest, connection: asyncpg.Connection, bad: Bad
) -> None:
    with pytest.raises(bad.error) as caught:
        await ready.engine.emit(as_signal(bad))

    assert bad.says in str(caught.value)
    assert CARD not in str(caught.value)
    assert await rows_stored(connection) == dict.fromkeys(FILLED_BY_EMIT, 0)


@pytest.mark.parametrize("name", ["wrong source", "NaN", "1 MiB", "payload with a gap"])
async def test_a_bad_signal_in_a_transaction_leaves_nothing_there_either(
    ready: PulseTest, connection: asyncpg.Connection, name: str
) -> None:
    bad = BAD[name]

    async with connection.transaction():
        with pytest.raises(bad.error):
            await ready.engine.emit(as_signal(bad), connection=connection)

    assert await rows_stored(connection) == dict.fromkeys(FILLED_BY_EMIT, 0)


async def test_a_signal_given_as_a_model_is_checked_in_the_same_way(
    ready: PulseTest, connection: asyncpg.Connection
) -> None:
    signal = TriggerInput(
        tenant_id=TENANT, source=SOURCE, type="order.paid", payload={"a": float("nan")}
    )

    with pytest.raises(JsonValueError, match="payload/a"):
        await ready.engine.emit(signal)

    assert await rows_stored(connection) == dict.fromkeys(FILLED_BY_EMIT, 0)


async def test_a_good_signal_fills_every_one_of_these_tables(
    ready: PulseTest, connection: asyncpg.Connection
) -> None:
    """So the emptiness that the other tests see means something."""
    await ready.emit("order.paid", {"amount": 1})

    stored = await rows_stored(connection)
    filled = {table for table, rows in stored.items() if rows}
    assert filled == set(FILLED_BY_EMIT) - {"pulse_run_events"}


async def test_values_at_the_border_are_accepted(ready: PulseTest) -> None:
    payload = {
        "deep": nested(63),
        "integers": [2**63 - 1, -(2**63)],
        "text": "\u0001 ☃ 🎉 \uffff",
        "numbers": [1e15, 5e-324, 0.1, -1.5],
    }

    trigger = await ready.emit("order.paid", payload)

    stored = await ready.engine.get_trigger(trigger.id)
    assert stored is not None
    assert stored.payload == payload
