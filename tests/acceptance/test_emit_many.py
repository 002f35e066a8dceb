"""``emit_many`` stores many signals at once: all of them, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import timedelta

import asyncpg
import pytest
from pydantic import BaseModel

from pulse_temporal import (
    EmitBusyError,
    IdempotencyConflictError,
    JsonValueError,
    PayloadError,
    PostgresUnavailableError,
    PulseError,
    SignalError,
    SignalMismatchError,
    TriggerInput,
    UnknownSignalError,
)
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import SOURCE, TENANT, PulseTest, eventually, make_pulse

TYPE = "order.paid"
TROUBLE = """
ALTER TABLE pulse_triggers ADD CONSTRAINT refused CHECK (NOT payload ? 'refused');
CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep((NEW.payload ->> ''seconds'')::float); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON pulse_triggers
    FOR EACH ROW WHEN (NEW.payload ? 'seconds') EXECUTE FUNCTION take_long();
"""
"""Let Postgres refuse some payloads and be slow with others."""


def signal(number: int = 0, **fields: object) -> dict[str, object]:
    return {
        "tenantId": TENANT,
        "source": SOURCE,
        "type": TYPE,
        "payload": {"order": number},
        **fields,
    }


async def stored(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM pulse_triggers")


async def test_many_signals_are_answered_in_their_order_and_run(pulse: PulseTest) -> None:
    pay = pulse.action("pay")
    await pulse.define(TYPE, "pay")
    pulse.signal("order.lost")

    signals = [
        TriggerInput.model_validate(signal(0)),
        signal(1, type="order.lost"),
        signal(2, resourceId="o-2"),
    ]
    triggers = await pulse.engine.emit_many(signals)
    for trigger in triggers:
        for run_id in trigger.run_ids:
            assert (await pulse.engine.wait_for_run(run_id)).status == "completed"

    assert [trigger.payload for trigger in triggers] == [{"order": n} for n in range(3)]
    assert [len(trigger.run_ids) for trigger in triggers] == [1, 0, 1]
    assert [trigger.duplicate for trigger in triggers] == [False, False, False]
    assert sorted(ctx.trigger.id for ctx in pay.calls) == [triggers[0].id, triggers[2].id]
    assert [trigger.id for trigger in triggers] == sorted(trigger.id for trigger in triggers)
    assert await pulse.engine.get_trigger(triggers[2].id) == triggers[2]


async def test_runs_follow_the_signals_and_then_the_age_of_definitions(
    idle_pulse: PulseTest,
) -> None:
    older = await idle_pulse.define(TYPE, name="older")
    newer = await idle_pulse.define(TYPE, name="newer")

    triggers = await idle_pulse.engine.emit_many([signal(n) for n in range(3)])

    runs = [
        await idle_pulse.engine.get_run(run_id)
        for trigger in triggers
        for run_id in trigger.run_ids
    ]
    assert [run and run.definition_id for run in runs] == 3 * [older.id, newer.id]
    assert [run and run.trigger_id for run in runs] == [t.id for t in triggers for _ in range(2)]
    assert [run and run.id for run in runs] == sorted(run.id for run in runs if run)


async def test_parallel_steps_have_their_own_parents(idle_pulse: PulseTest) -> None:
    idle_pulse.action("pay")
    branches = [[{"type": "action", "name": name, "uses": "pay"}] for name in ("left", "right")]
    await idle_pulse.define(TYPE, {"type": "parallel", "name": "both", "branches": branches})

    triggers = await idle_pulse.engine.emit_many([signal(1), signal(2)])

    for trigger in triggers:
        steps = await idle_pulse.steps(trigger.run_ids[0])
        assert {steps[path].parent_step_run_id for path in ("0/b0/0", "0/b1/0")} == {steps["0"].id}


async def test_each_tenants_signals_start_only_its_own_definitions(pulse: PulseTest) -> None:
    pulse.action("pay")
    await pulse.define(TYPE, "pay")
    await pulse.define(TYPE, "pay", tenant_id="tenant-b")

    triggers = await pulse.engine.emit_many(
        [signal(1, idempotencyKey="k"), signal(2, tenantId="tenant-b", idempotencyKey="k")]
    )

    assert [trigger.duplicate for trigger in triggers] == [False, False]
    for trigger in triggers:
        run = await pulse.engine.wait_for_run(trigger.run_ids[0])
        assert (run.status, run.tenant_id) == ("completed", trigger.tenant_id)


@pytest.mark.parametrize(
    ("poison", "error", "message"),
    [
        ({"type": "order.unknown"}, UnknownSignalError, "'order.unknown' is not registered"),
        ({"source": "elsewhere"}, SignalMismatchError, "come from source"),
        ({"tenantId": ""}, SignalError, "tenantId"),
        ({"idempotencyKey": "cron:x"}, SignalError, "belong to Pulse"),
        ({"payload": {"text": "\0"}}, JsonValueError, "/text: the text contains NUL"),
        ({"type": "order.checked"}, PayloadError, "does not fit its schema"),
    ],
    ids=["unknown", "mismatch", "malformed", "reserved key", "NUL", "schema"],
)
async def test_poison_of_one_tenant_stores_nothing_and_names_the_signal(
    idle_pulse: PulseTest,
    connection: asyncpg.Connection,
    poison: Mapping[str, object],
    error: type[PulseError],
    message: str,
) -> None:
    class Amount(BaseModel):
        amount: int

    idle_pulse.signal(TYPE)
    idle_pulse.engine.register_trigger("order.checked", source=SOURCE, payload_schema=Amount)
    poisoned = signal(2, **{"tenantId": "tenant-b", **poison})

    with pytest.raises(error, match=message) as caught:
        await idle_pulse.engine.emit_many([signal(1), poisoned, signal(3)])

    assert str(caught.value).startswith("signals[1]")
    if isinstance(caught.value, SignalError):
        assert caught.value.index == 1
    assert await stored(connection) == 0


async def test_a_key_that_comes_twice_is_one_signal(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pay = pulse.action("pay")
    await pulse.define(TYPE, "pay")
    before = await pulse.emit(TYPE, {"order": 1}, idempotencyKey="old")

    triggers = await pulse.engine.emit_many(
        [
            signal(2, idempotencyKey="new"),
            signal(1, idempotencyKey="old"),
            signal(2, idempotencyKey="new"),
        ]
    )
    again = await pulse.engine.emit_many([signal(2, idempotencyKey="new")])

    first, known, repeated = triggers
    assert [trigger.duplicate for trigger in triggers] == [False, True, True]
    assert (known.id, known.run_ids) == (before.id, before.run_ids)
    assert (repeated.id, repeated.run_ids) == (first.id, first.run_ids)
    assert (again[0].id, again[0].duplicate) == (first.id, True)
    assert await stored(connection) == 2
    for run_id in (*before.run_ids, *first.run_ids):
        await pulse.engine.wait_for_run(run_id)
    assert pay.call_count == 2


@pytest.mark.parametrize("where", ["in the table", "in the list"])
async def test_a_key_with_other_content_stores_nothing(
    idle_pulse: PulseTest, connection: asyncpg.Connection, where: str
) -> None:
    idle_pulse.signal(TYPE)
    if where == "in the table":
        await idle_pulse.emit(TYPE, {"order": 1}, idempotencyKey="k")
        signals = [signal(0), signal(7), signal(2, idempotencyKey="k")]
    else:
        signals = [signal(0), signal(1, idempotencyKey="k"), signal(2, idempotencyKey="k")]
    before = await stored(connection)

    with pytest.raises(IdempotencyConflictError, match=r"^signals\[2\]: .*'k'") as caught:
        await idle_pulse.engine.emit_many(signals)

    assert caught.value.index == 2
    assert await stored(connection) == before


async def test_lists_with_the_same_keys_in_other_orders_do_not_block_each_other(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await idle_pulse.define(TYPE)
    signals = [signal(n, idempotencyKey=f"k-{n}") for n in range(150)]
    backwards = list(reversed(signals))

    answers = await asyncio.gather(
        *[idle_pulse.engine.emit_many(each) for each in (signals, backwards) for _ in range(4)]
    )

    ids = {trigger.payload["order"]: trigger.id for trigger in answers[0]}
    for answer in answers:
        assert {trigger.payload["order"]: trigger.id for trigger in answer} == ids
    assert sum(not trigger.duplicate for answer in answers for trigger in answer) == 150
    assert await stored(connection) == 150


async def test_it_joins_the_transaction_of_the_caller(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pulse.action("pay")
    await pulse.define(TYPE, "pay")

    transaction = connection.transaction()
    await transaction.start()
    gone = await pulse.engine.emit_many([signal(1), signal(2)], connection=connection)
    with pytest.raises(IdempotencyConflictError):
        await pulse.engine.emit_many(
            [signal(n, idempotencyKey="k") for n in range(2)], connection=connection
        )
    assert await stored(connection) == 2, "what was refused leaves the transaction usable"
    await transaction.rollback()
    async with pulse.engine.transaction() as ours:
        kept = await pulse.engine.emit_many([signal(3), signal(4)], connection=ours)

    assert await stored(connection) == 2
    assert await pulse.engine.get_trigger(gone[0].id) is None
    for trigger in kept:
        assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_what_is_no_list_and_what_is_too_much_is_refused(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.signal(TYPE)
    large = signal(payload={"text": "x" * 200_000})

    with pytest.raises(SignalError, match=r"list of signals, not a dict"):
        await idle_pulse.engine.emit_many(signal())  # pyright: ignore[reportArgumentType] - the mistake that is tested
    with pytest.raises(SignalError, match="given 1001 signals; at most 1000 are accepted"):
        await idle_pulse.engine.emit_many([signal()] * 1_001)
    with pytest.raises(SignalError, match=r"^signals\[83\]: .* over 16777216 bytes") as caught:
        await idle_pulse.engine.emit_many([large] * 100)
    with pytest.raises(SignalError, match=r"^signals\[1\]: .*malformed"):
        await idle_pulse.engine.emit_many([signal(), 5])  # pyright: ignore[reportArgumentType] - the mistake that is tested

    assert caught.value.index == 83
    assert await idle_pulse.engine.emit_many([]) == []
    assert await stored(connection) == 0


async def test_the_largest_list_is_stored_and_run(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.first")
    pulse.signal(TYPE)
    signals = [signal(n, type="order.first" if n % 100 == 0 else TYPE) for n in range(1_000)]

    triggers = await pulse.engine.emit_many(signals)

    assert await stored(connection) == 1_000
    assert [t.payload["order"] for t in triggers if t.run_ids] == list(range(0, 1_000, 100))
    for trigger in triggers[::100]:
        assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_a_long_list_has_more_time_than_one_statement(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    patience = timedelta(seconds=2)
    pulse = make_pulse(database, servers.temporal_address, postgres_timeout=patience)
    pulse.signal(TYPE)
    await connection.execute(TROUBLE)
    signals = [signal(payload={"seconds": 0.01, "order": n}) for n in range(250)]

    triggers = await pulse.engine.emit_many(signals)
    await pulse.engine.stop()

    assert [trigger.payload["order"] for trigger in triggers] == list(range(250))
    assert await stored(connection) == 250


@pytest.mark.parametrize(
    ("last", "error"),
    [({"order": 7}, IdempotencyConflictError), ({"refused": 1}, asyncpg.CheckViolationError)],
    ids=["conflict", "refusal"],
)
async def test_a_fault_at_the_end_of_a_long_list_stores_nothing(
    idle_pulse: PulseTest,
    connection: asyncpg.Connection,
    last: Mapping[str, object],
    error: type[Exception],
) -> None:
    await idle_pulse.define(TYPE)
    await connection.execute(TROUBLE)
    if error is IdempotencyConflictError:
        await idle_pulse.emit(TYPE, idempotencyKey="k-249")
    before = await stored(connection)
    signals = [signal(n, idempotencyKey=f"k-{n:03}") for n in range(249)]

    with pytest.raises(error) as caught:
        await idle_pulse.engine.emit_many([signal(payload=last, idempotencyKey="k-249"), *signals])

    assert getattr(caught.value, "index", 0) == 0
    assert await stored(connection) == before
    assert await connection.fetchval("SELECT count(*) FROM pulse_workflow_runs") == before


async def test_a_key_in_use_is_told_from_a_list_that_is_too_much(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    patience = timedelta(seconds=1)
    pulse = make_pulse(database, servers.temporal_address, postgres_timeout=patience)
    pulse.signal(TYPE)
    await connection.execute(TROUBLE)
    quick = [signal(n, idempotencyKey=f"k-{n:03}") for n in range(150)]
    slow = [{**each, "payload": {"seconds": 0.05}} for each in quick]

    async with connection.transaction():
        await pulse.engine.emit(quick[120], connection=connection)
        with pytest.raises(EmitBusyError):
            await pulse.engine.emit_many(quick)
    with pytest.raises(PostgresUnavailableError, match="fewer signals at once"):
        await pulse.engine.emit_many(slow)
    assert await stored(connection) == 1
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '7s'")
        await pulse.engine.emit_many(quick, connection=connection)
        assert await connection.fetchval("SHOW lock_timeout") == "7s"
    await pulse.engine.stop()

    assert await stored(connection) == 150


async def test_code_that_is_not_async_has_it_too(pulse: PulseTest) -> None:
    pulse.signal(TYPE)

    triggers = await asyncio.to_thread(pulse.engine.blocking.emit_many, [signal(1), signal(2)])

    assert [trigger.payload["order"] for trigger in triggers] == [1, 2]


async def test_emits_of_a_crowd_are_all_stored_whenever_they_come(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Emits share statements; one that comes just when a statement ends is not forgotten."""
    await idle_pulse.define(TYPE)
    numbers = iter(range(300))

    async def emitter() -> None:
        for number in numbers:
            trigger = await idle_pulse.emit(TYPE, {"order": number})
            assert trigger.payload == {"order": number}
            (run_id,) = trigger.run_ids
            run = await idle_pulse.engine.get_run(run_id)
            assert run is not None, "it is committed"
            assert run.trigger_id == trigger.id

    async with asyncio.timeout(60), asyncio.TaskGroup() as crowd:
        for _ in range(12):
            crowd.create_task(emitter())

    assert await stored(connection) == 300


async def test_an_emitter_that_is_canceled_takes_no_other_signal_along(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.signal(TYPE)
    emits = [asyncio.ensure_future(idle_pulse.emit(TYPE, {"order": n})) for n in range(60)]
    for each in emits[::2]:
        asyncio.get_running_loop().call_soon(each.cancel)

    kept = await asyncio.gather(*emits[1::2])

    assert {trigger.payload["order"] for trigger in kept} == set(range(1, 60, 2))

    async def all_kept_are_stored() -> bool:
        found = await connection.fetch("SELECT id FROM pulse_triggers")
        return {trigger.id for trigger in kept} <= {row["id"] for row in found}

    await eventually(all_kept_are_stored)


async def test_a_definition_that_cannot_be_read_fails_no_emit(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Somebody has spoiled it; the signals are stored, and an error would say otherwise."""
    await idle_pulse.define(TYPE)
    await connection.execute("UPDATE pulse_workflow_definitions SET steps = '[{}]'")

    await asyncio.gather(*[idle_pulse.emit(TYPE, {"order": n}) for n in range(10)])

    assert await stored(connection) == 10


async def test_storing_one_by_one_leaves_out_emitters_that_have_gone(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.signal(TYPE)
    await connection.execute(TROUBLE)
    payloads = [{"refused": 1}, *({"order": n} for n in range(5))]

    async def one_waits() -> bool:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )

    async with connection.transaction():
        await connection.execute("LOCK TABLE pulse_triggers IN SHARE MODE")
        emits = [asyncio.ensure_future(idle_pulse.emit(TYPE, each)) for each in payloads]
        await eventually(one_waits)
        emits[3].cancel()
    refused, *others = await asyncio.gather(*emits, return_exceptions=True)

    assert isinstance(refused, asyncpg.CheckViolationError)
    assert [type(other) is asyncio.CancelledError for other in others] == [
        n == 2 for n in range(5)
    ]
    assert await stored(connection) == 4


async def test_storing_one_by_one_stops_when_postgres_is_away(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    patience = timedelta(seconds=1)
    pulse = make_pulse(database, servers.temporal_address, postgres_timeout=patience)
    pulse.signal(TYPE)
    await connection.execute(TROUBLE)
    payloads = [{"refused": 1}, {"seconds": 60}, *({"order": n} for n in range(5))]

    refused, *others = await asyncio.gather(
        *[pulse.emit(TYPE, each) for each in payloads], return_exceptions=True
    )
    await pulse.engine.stop()

    assert isinstance(refused, asyncpg.CheckViolationError)
    assert {type(other) for other in others} == {PostgresUnavailableError}
    assert len({id(other) for other in others}) == 6
    assert await stored(connection) == 0


async def test_context_variables_of_an_emitter_do_not_reach_others(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    """Signals of a crowd are stored by tasks that belong to none of the emitters."""
    request: ContextVar[str] = ContextVar("request")
    seen: list[str | None] = []

    async def note(_: object) -> None:
        seen.append(request.get(None))

    async def emit(number: int) -> None:
        request.set(f"request {number}")
        await pulse.emit(TYPE, {"order": number})

    async with asyncpg.create_pool(database, min_size=0, setup=note) as pool:
        pulse = make_pulse(database, servers.temporal_address, pool=pool)
        pulse.signal(TYPE)
        await asyncio.gather(*[emit(n) for n in range(20)])
        await pulse.engine.stop()

    assert set(seen) == {None}
    assert await stored(connection) == 20


async def test_signals_that_cost_much_share_a_statement_with_fewer(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.signal(TYPE)
    await connection.execute(TROUBLE)

    for _ in range(2):
        await asyncio.gather(*[idle_pulse.emit(TYPE, {"seconds": 0.02}) for _ in range(60)])

    together = await connection.fetch(
        "SELECT count(*) AS number FROM pulse_triggers GROUP BY xmin::text ORDER BY 1 DESC"
    )
    assert together[0]["number"] == 60
    assert together[1]["number"] <= 30
