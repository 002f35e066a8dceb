"""``SELECT pulse_emit(...)``: any driver, a trigger or a procedure emits in its transaction."""

from __future__ import annotations

import json
from typing import Literal

import asyncpg
import pytest

from pulse_temporal import IdempotencyConflictError, TriggerEnvelope
from pulse_temporal.testing import delay, parallel
from tests.harness import SOURCE, TENANT, PulseTest

EMIT = "SELECT pulse_emit($1, $2, $3, $4::text::jsonb)"
KEYED = """SELECT pulse_emit(
    tenant_id => $1, source => $2, type => 'order.paid', payload => $3::text::jsonb,
    idempotency_key => $4
)"""


async def emitted(connection: asyncpg.Connection, payload: object = None) -> str:
    found: str = await connection.fetchval(
        EMIT, TENANT, SOURCE, "order.paid", json.dumps(payload or {})
    )
    return found


async def keyed(connection: asyncpg.Connection, key: str, payload: str = "{}") -> str:
    found: str = await connection.fetchval(KEYED, TENANT, SOURCE, payload, key)
    return found


async def trigger_of(pulse: PulseTest, trigger_id: str) -> TriggerEnvelope:
    trigger = await pulse.engine.get_trigger(trigger_id)
    assert trigger is not None
    return trigger


async def test_a_signal_from_sql_runs_what_matches(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay", resourceTypeFilter="order", environmentFilter="prod")

    trigger_id = await connection.fetchval(
        """SELECT pulse_emit(
            tenant_id => $1, source => $2, type => 'order.paid', payload => '{"n": 1}',
            resource_type => 'order', resource_id => 'o-1', environment => 'prod'
        )""",
        TENANT,
        SOURCE,
    )
    trigger = await trigger_of(pulse, trigger_id)
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"
    assert (trigger.tenant_id, trigger.source, trigger.type) == (TENANT, SOURCE, "order.paid")
    assert trigger.payload == {"n": 1}
    assert (trigger.resource_type, trigger.resource_id) == ("order", "o-1")
    assert (trigger.environment, trigger.depth, trigger.is_replay) == ("prod", 0, False)
    assert pay.calls[0].trigger.id == trigger_id


async def test_it_stores_what_the_engine_stores(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Row by row, but for ids and moments; nothing has begun to work on either."""
    pulse = idle_pulse
    steps = ["a", delay("b", 100), parallel("c", ["d"], ["e", "f"])]
    for name in "adef":
        pulse.action(name)
    await pulse.define("order.paid", *steps, config={"currency": "EUR"})
    await pulse.define("order.paid", "a")
    by_engine = (await pulse.emit("order.paid", {"n": 1})).id
    by_sql = await emitted(connection, {"n": 1})

    rows = {
        "triggers": "SELECT * FROM pulse_triggers WHERE id = $1",
        "runs": "SELECT * FROM pulse_workflow_runs WHERE trigger_id = $1 ORDER BY id",
        "steps": """SELECT s.* FROM pulse_workflow_step_runs AS s
            JOIN pulse_workflow_runs AS r ON r.id = s.run_id WHERE trigger_id = $1
            ORDER BY r.id, s.path_numbers""",
        "control": """SELECT c.* FROM pulse_run_control AS c
            JOIN pulse_workflow_runs AS r ON r.id = c.run_id WHERE trigger_id = $1
            ORDER BY r.id""",
        "outbox": """SELECT o.* FROM pulse_outbox AS o
            JOIN pulse_workflow_runs AS r ON r.id = o.run_id WHERE trigger_id = $1
            ORDER BY o.id""",
    }
    own = {"id", "run_id", "trigger_id", "parent_step_run_id", "created_at", "updated_at"}
    own |= {"request_hash", "task_queue"}
    for name, text in rows.items():
        one, other = [
            [
                {field: value for field, value in row.items() if field not in own}
                for row in await connection.fetch(text, trigger_id)
            ]
            for trigger_id in (by_engine, by_sql)
        ]
        assert one == other, name
        assert one, name


async def test_a_rollback_leaves_nothing(pulse: PulseTest, connection: asyncpg.Connection) -> None:
    await pulse.define("order.paid")

    transaction = connection.transaction()
    await transaction.start()
    trigger_id = await emitted(connection)
    await transaction.rollback()

    assert await pulse.engine.get_trigger(trigger_id) is None
    assert await connection.fetchval("SELECT count(*) FROM pulse_workflow_runs") == 0


async def test_a_trigger_of_a_table_emits_for_each_row(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")
    await connection.execute(
        """
        CREATE TABLE orders (id text, tenant text, paid boolean NOT NULL DEFAULT false);
        CREATE FUNCTION tell_paid() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pulse_emit(
                NEW.tenant, 'test', 'order.paid', jsonb_build_object('order', NEW.id),
                idempotency_key => 'paid:' || NEW.id
            );
            RETURN NEW;
        END $$;
        CREATE TRIGGER paid AFTER UPDATE OF paid ON orders
        FOR EACH ROW WHEN (NEW.paid AND NOT OLD.paid) EXECUTE FUNCTION tell_paid();
        """
    )
    await connection.execute(
        "INSERT INTO orders SELECT 'o-' || n, $1 FROM generate_series(1, 3) AS n", TENANT
    )

    await connection.execute("UPDATE orders SET paid = true WHERE id <> 'o-3'")
    runs = (await pulse.engine.list_runs()).items
    for run in runs:
        await pulse.engine.wait_for_run(run.id)

    assert sorted(str(ctx.trigger.payload["order"]) for ctx in pay.calls) == ["o-1", "o-2"]


async def test_a_procedure_emits_and_commits(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")
    await connection.execute(
        f"""CREATE PROCEDURE pay(orders int) LANGUAGE plpgsql AS $$
        BEGIN
            FOR n IN 1..orders LOOP
                PERFORM pulse_emit('{TENANT}', '{SOURCE}', 'order.paid');
                COMMIT;
            END LOOP;
        END $$"""
    )

    await connection.execute("CALL pay(3)")

    runs = (await pulse.engine.list_runs()).items
    assert len(runs) == 3
    for run in runs:
        assert (await pulse.engine.wait_for_run(run.id)).status == "completed"


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
async def test_keys_count_in_every_isolation(
    pulse: PulseTest,
    connection: asyncpg.Connection,
    isolation: Literal["read_committed", "repeatable_read", "serializable"],
) -> None:
    await pulse.define("order.paid")

    async with connection.transaction(isolation=isolation):
        first = await keyed(connection, "k")
        again = await keyed(connection, "k")
    async with connection.transaction(isolation=isolation):
        later = await keyed(connection, "k")

    assert first == again == later
    assert len((await trigger_of(pulse, first)).run_ids) == 1


async def test_a_key_taken_behind_the_snapshot_is_the_callers_to_repeat(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await connection.fetchval("SELECT 1 FROM pulse_triggers")
    await pulse.emit("order.paid", idempotencyKey="k")
    with pytest.raises(asyncpg.SerializationError):
        await keyed(connection, "k")
    await transaction.rollback()


SAME = [
    ('{"b": 1, "a": [true, null, "ü"]}', '{"a": [true, null, "\\u00fc"], "b": 1}'),
    ('{"n": 1e16}', '{"n": 10000000000000000}'),
    ('{"n": 1.0}', '{"n": 1}'),
    ('{"n": -0.0}', '{"n": 0}'),
]
OTHER = [('{"n": 1}', '{"n": true}'), ('{"n": 1}', '{"n": "1"}'), ('{"n": null}', "{}")]


@pytest.mark.parametrize(("one", "other"), SAME)
async def test_the_same_content_is_the_same_signal_from_python_and_from_sql(
    pulse: PulseTest, connection: asyncpg.Connection, one: str, other: str
) -> None:
    await pulse.define("order.paid")

    by_python = await pulse.emit("order.paid", json.loads(one), idempotencyKey="p")
    by_sql = await keyed(connection, "s", one)

    assert await keyed(connection, "p", other) == by_python.id
    again = await pulse.emit("order.paid", json.loads(other), idempotencyKey="s")
    assert (again.id, again.duplicate, len(again.run_ids)) == (by_sql, True, 1)
    assert await keyed(connection, "s", other) == by_sql


@pytest.mark.parametrize(("one", "other"), OTHER)
async def test_other_content_is_refused_from_python_and_from_sql(
    pulse: PulseTest, connection: asyncpg.Connection, one: str, other: str
) -> None:
    await pulse.define("order.paid")
    by_python = await pulse.emit("order.paid", json.loads(one), idempotencyKey="p")
    by_sql = await keyed(connection, "s", one)

    for key, taken in (("p", by_python.id), ("s", by_sql)):
        with pytest.raises(asyncpg.PostgresError, match=f"'{key}' belongs to trigger") as refused:
            await keyed(connection, key, other)
        assert refused.value.sqlstate == "PU002"
        with pytest.raises(IdempotencyConflictError) as conflict:
            await pulse.emit("order.paid", json.loads(other), idempotencyKey=key)
        assert conflict.value.trigger_id == taken


@pytest.mark.parametrize("field", ["source", "resource_type", "resource_id", "environment"])
async def test_every_field_belongs_to_the_content(
    idle_pulse: PulseTest, connection: asyncpg.Connection, field: str
) -> None:
    pulse = idle_pulse
    pulse.signal("order.paid")
    trigger = await pulse.emit("order.paid", idempotencyKey="k")
    fields = {"tenant_id": TENANT, "source": SOURCE, "type": "order.paid"}
    fields |= {"idempotency_key": "k"}

    async def call(**more: str) -> str:
        named = fields | more
        places = ", ".join(f"{name} => ${n}" for n, name in enumerate(named, start=1))
        found: str = await connection.fetchval(f"SELECT pulse_emit({places})", *named.values())
        return found

    assert await call() == trigger.id
    with pytest.raises(asyncpg.PostgresError) as refused:
        await call(**{field: "another"})
    assert refused.value.sqlstate == "PU002"


REFUSED = {
    "no tenant": ("pulse_emit(NULL, 's', 't')", "tenant_id is missing"),
    "an empty type": ("pulse_emit('a', 's', '')", "type must have 1 to 200 characters, not 0"),
    "a long source": ("pulse_emit('a', repeat('ü', 201), 't')", "source must have 1 to 200"),
    "a long resource": (
        "pulse_emit('a', 's', 't', resource_id => repeat('x', 401))",
        "resource_id must have 1 to 400 characters, not 401",
    ),
    "a line break": ("pulse_emit('a', E's\\n', 't')", "source must not contain control"),
    "a key of ours": (
        "pulse_emit('a', 's', 't', idempotency_key => 'chain:x')",
        "idempotency_key must not begin with cron:, chain:, replay:",
    ),
    "an empty queue": ("pulse_emit('a', 's', 't', queue => '')", "queue must have 1 to 200"),
    "no payload": ("pulse_emit('a', 's', 't', NULL)", "payload must be a JSON object"),
    "a list": ("pulse_emit('a', 's', 't', '[1]')", "payload must be a JSON object"),
    "a large payload": (
        "pulse_emit('a', 's', 't', jsonb_build_object('x', repeat('ü', 131072)))",
        "payload must have at most 262144 bytes",
    ),
    "a deep payload": (
        "pulse_emit('a', 's', 't', (repeat('{\"x\":', 64) || '[]' || repeat('}', 64))::jsonb)",
        "payload must have at most 64 levels",
    ),
    "a number beyond floats": (
        "pulse_emit('a', 's', 't', '{\"x\": [1e309]}')",
        "payload must have numbers that fit into 64 bits",
    ),
}


@pytest.mark.parametrize(("call", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_the_engine_refuses_is_refused(
    connection: asyncpg.Connection, call: str, reason: str
) -> None:
    with pytest.raises(asyncpg.PostgresError, match=reason) as refused:
        await connection.fetchval(f"SELECT {call}")
    assert refused.value.sqlstate == "PU001"
    assert await connection.fetchval("SELECT count(*) FROM pulse_triggers") == 0


async def test_what_is_just_within_the_limits_is_accepted(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")
    deep = '{"x":' * 63 + "[1e308]" + "}" * 63

    trigger_id = await connection.fetchval(
        f"SELECT pulse_emit('{TENANT}', repeat('ü', 200), 'order.paid', '{deep}',"
        " resource_id => repeat('x', 400))"
    )

    trigger = await trigger_of(pulse, trigger_id)
    assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_another_queue_is_left_to_its_workers(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    await connection.execute(
        "SELECT pulse_emit($1, $2, 'order.paid', queue => 'others')", TENANT, SOURCE
    )

    assert await connection.fetchval("SELECT task_queue FROM pulse_outbox") == "others"
    assert await connection.fetchval("SELECT task_queue FROM pulse_run_control") == "others"
