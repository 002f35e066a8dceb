"""``emit(signal, connection=...)`` joins the transaction of the caller."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Literal

import asyncpg
import pytest
from temporalio.service import RPCError

from pulse_temporal import (
    EmitBusyError,
    IdempotencyConflictError,
    TriggerEnvelope,
    UnknownSignalError,
)
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse


def signal(**fields: object) -> dict[str, object]:
    return {"tenantId": TENANT, "source": SOURCE, "type": "order.paid", **fields}


async def joined(
    pulse: PulseTest, connection: asyncpg.Connection, **fields: object
) -> TriggerEnvelope:
    return await pulse.engine.emit(signal(**fields), connection=connection)


async def test_the_commit_starts_the_runs(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")

    async with connection.transaction():
        trigger = await joined(pulse, connection, payload={"order": 1})
        before = await pulse.engine.get_run(trigger.run_ids[0])
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert before is None, "nobody else sees a run of an open transaction"
    assert run.status == "completed"
    assert pay.calls[0].trigger.payload == {"order": 1}


async def test_signal_and_work_of_the_application_commit_together(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")
    await connection.execute("CREATE TABLE orders (id int)")

    async with connection.transaction():
        await connection.execute("INSERT INTO orders VALUES (1)")
        trigger = await joined(pulse, connection)

    assert await connection.fetchval("SELECT count(*) FROM orders") == 1
    assert await pulse.engine.get_trigger(trigger.id) is not None


async def test_a_rollback_leaves_nothing(pulse: PulseTest, connection: asyncpg.Connection) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")

    transaction = connection.transaction()
    await transaction.start()
    trigger = await joined(pulse, connection, idempotencyKey="k")
    await transaction.rollback()
    later = await pulse.emit("order.paid", idempotencyKey="k")
    await pulse.engine.wait_for_run(later.run_ids[0])

    assert await pulse.engine.get_trigger(trigger.id) is None
    assert not later.duplicate, "the key is free again"
    assert [ctx.run.id for ctx in pay.calls] == list(later.run_ids)


async def test_a_savepoint_that_is_rolled_back_takes_its_signal_along(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    async with connection.transaction():
        kept = await joined(pulse, connection)
        savepoint = connection.transaction()
        await savepoint.start()
        undone = await joined(pulse, connection)
        await savepoint.rollback()
    run = await pulse.engine.wait_for_run(kept.run_ids[0])

    assert run.status == "completed"
    assert await pulse.engine.get_trigger(undone.id) is None


async def test_several_signals_may_join_one_transaction(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    async with connection.transaction():
        triggers = [await joined(pulse, connection) for _ in range(3)]

    for trigger in triggers:
        run = await pulse.engine.wait_for_run(trigger.run_ids[0])
        assert run.status == "completed"


async def test_codecs_of_the_callers_connection_do_no_harm(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """A usual codec turns jsonb into Python values; ours must be stored all the same."""
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay", config={"currency": "EUR"})
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )

    async with connection.transaction():
        first = await joined(pulse, connection, payload={"order": 1}, idempotencyKey="k")
        again = await joined(pulse, connection, payload={"order": 1}, idempotencyKey="k")
    run = await pulse.engine.wait_for_run(first.run_ids[0])

    assert run.status == "completed"
    assert again.payload == {"order": 1}
    assert pay.calls[0].trigger.payload == {"order": 1}
    assert pay.calls[0].config == {"currency": "EUR"}


async def test_the_callers_search_path_does_no_harm(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")
    await connection.execute("CREATE SCHEMA app")
    await connection.execute("CREATE TABLE app.pulse_triggers (id int)")
    await connection.execute("SET search_path = app")

    async with connection.transaction():
        trigger = await joined(pulse, connection)

    assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_a_connection_of_a_pool_will_do(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    async with (
        asyncpg.create_pool(pulse.dsn, min_size=1, max_size=1) as pool,
        pool.acquire() as borrowed,
        borrowed.transaction(),
    ):
        trigger = await pulse.engine.emit(signal(), connection=borrowed)

    assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_a_refused_signal_leaves_the_transaction_usable(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")
    await pulse.emit("order.paid", {"order": 1}, idempotencyKey="k")

    async with connection.transaction():
        with pytest.raises(UnknownSignalError):
            await joined(pulse, connection, type="order.piad")
        with pytest.raises(IdempotencyConflictError):
            await joined(pulse, connection, payload={"order": 2}, idempotencyKey="k")
        trigger = await joined(pulse, connection)

    assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_a_known_key_gives_the_first_signal(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")
    first = await pulse.emit("order.paid", idempotencyKey="k")

    async with connection.transaction():
        again = await joined(pulse, connection, idempotencyKey="k")

    assert (again.id, again.run_ids, again.duplicate) == (first.id, first.run_ids, True)


@pytest.fixture
async def other_connection(database: str) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a second connection to the test's database."""
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


@pytest.fixture
async def impatient(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine that waits half a second for Postgres."""
    patience = timedelta(milliseconds=500)
    made = make_pulse(database, servers.temporal_address, postgres_timeout=patience)
    yield made
    await made.engine.stop()


async def test_a_key_that_an_open_transaction_uses_is_not_waited_for_without_end(
    impatient: PulseTest, connection: asyncpg.Connection, other_connection: asyncpg.Connection
) -> None:
    pulse = impatient
    pulse.signal("order.paid")

    async with connection.transaction():
        await joined(pulse, connection, idempotencyKey="k")
        with pytest.raises(EmitBusyError):
            async with other_connection.transaction():
                await joined(pulse, other_connection, idempotencyKey="k")
        with pytest.raises(EmitBusyError):
            await pulse.emit("order.paid", idempotencyKey="k")

    again = await pulse.emit("order.paid", idempotencyKey="k")
    assert again.duplicate


async def test_runs_undone_by_a_savepoint_never_start(pulse: PulseTest) -> None:
    """Not even as an empty workflow in Temporal."""
    pulse.action("work")
    await pulse.define("order.paid", "work")
    paid = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
    async with pulse.engine.transaction() as connection:
        kept = await pulse.engine.emit(paid, connection=connection)
        savepoint = connection.transaction()
        await savepoint.start()
        undone = await pulse.engine.emit(paid, connection=connection)
        await savepoint.rollback()
    await pulse.engine.wait_for_run(kept.run_ids[0])
    with pytest.raises(RPCError, match="not found"):
        await (await pulse.workflow(undone.run_ids[0])).describe()


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_stricter_isolation_of_the_caller_will_do(
    pulse: PulseTest,
    connection: asyncpg.Connection,
    isolation: Literal["repeatable_read", "serializable"],
) -> None:
    await pulse.define("order.paid")

    async with connection.transaction(isolation=isolation):
        first = await joined(pulse, connection, idempotencyKey="k")
        again = await joined(pulse, connection, idempotencyKey="k")

    assert (again.id, again.duplicate) == (first.id, True)
    assert (await pulse.engine.wait_for_run(first.run_ids[0])).status == "completed"


async def test_a_key_taken_behind_the_callers_snapshot_is_the_callers_to_repeat(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """As with any other row: Postgres says that the transaction must be tried again."""
    await pulse.define("order.paid")

    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await connection.fetchval("SELECT 1 FROM pulse_triggers")
    first = await pulse.emit("order.paid", idempotencyKey="k")
    with pytest.raises(asyncpg.SerializationError):
        await joined(pulse, connection, idempotencyKey="k")
    await transaction.rollback()

    async with connection.transaction(isolation="repeatable_read"):
        again = await joined(pulse, connection, idempotencyKey="k")
    assert (again.id, again.duplicate) == (first.id, True)
