"""The network to Postgres swallows, delays or loses what is sent: bounded waits, typed errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from itertools import count

import asyncpg
import pytest

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.errors import EmitBusyError, PostgresUnavailableError
from pulse_temporal.testing import action
from tests.faults.load import Load
from tests.faults.own_postgres import OwnPostgres, own_postgres, through, working_on
from tests.harness import SOURCE, TENANT, PulseTest, eventually
from tests.proxy import Latency, TcpProxy

pytestmark = pytest.mark.faults

TIMEOUT = timedelta(seconds=1)
BOUND_SECONDS = 6.0
"""Asking takes ``postgres_timeout``, calling it off as long again; the rest is a busy machine."""

STORED = "SELECT id FROM pulse_triggers WHERE idempotency_key = $1"
EXPECTED = {PostgresUnavailableError, EmitBusyError}


@pytest.fixture
async def postgres() -> AsyncGenerator[OwnPostgres]:
    """Run a Postgres with a TCP port."""
    async with own_postgres() as made:
        yield made


@pytest.fixture
async def proxy(postgres: OwnPostgres) -> AsyncGenerator[TcpProxy]:
    """Run a proxy before it."""
    async with TcpProxy(postgres.port) as made:
        yield made


@pytest.fixture
async def working(
    servers: EmbeddedServices, postgres: OwnPostgres, proxy: TcpProxy
) -> AsyncGenerator[PulseTest]:
    """Run an engine behind the proxy."""
    dsn = through(postgres.dsn, proxy.port)
    async with working_on(postgres, dsn, servers, postgres_timeout=TIMEOUT) as pulse:
        yield pulse


async def test_a_black_hole_bounds_every_emit(working: PulseTest, proxy: TcpProxy) -> None:
    """However many emits there are, more than connections too, each ends in time."""
    async with Load(working) as load:
        await load.goes_on()
        await proxy.become("black hole")
        async with asyncio.timeout(BOUND_SECONDS):
            answers = await asyncio.gather(
                *(working.emit("fault.met") for _ in range(40)), return_exceptions=True
            )
        assert {type(answer) for answer in answers} == {PostgresUnavailableError}
        await load.fails()
        await proxy.become("pass")
        await load.goes_on()

    assert {type(error) for error in load.errors} <= EXPECTED
    await load.check()


async def test_an_engine_stops_in_a_black_hole(working: PulseTest, proxy: TcpProxy) -> None:
    """Also while a transactional action waits for an answer to its own statement."""
    reached = asyncio.Event()

    async def pay(ctx: WorkflowContext) -> None:
        reached.set()
        while True:
            await ctx.connection.execute("SELECT 1")

    working.engine.register_action("pay", pay, transactional=True)
    await working.define("order.paid", action("pay", timeoutMs=600_000))
    trigger = await working.emit("order.paid")
    await reached.wait()
    await proxy.become("black hole")
    with pytest.raises(PostgresUnavailableError):
        await working.emit("order.paid")
    async with asyncio.timeout(60):
        await working.engine.stop()
    await proxy.become("pass")

    canceled = await working.engine.cancel_run(trigger.run_ids[0])
    assert canceled.status == "canceled"


async def test_the_answer_to_an_emit_is_lost(
    working: PulseTest, postgres: OwnPostgres, proxy: TcpProxy
) -> None:
    """Nobody can tell whether it is stored; repeated under its key it is there once."""
    work = working.action("work")
    await working.define("order.paid", "work")
    keys = (f"order-{number}" for number in count())

    async def stored_without_an_answer() -> tuple[str, object] | None:
        """Lose an answer; on a connection that prepares the statement first, that is too soon."""
        key = next(keys)
        await proxy.become("no replies")
        with pytest.raises((PostgresUnavailableError, EmitBusyError)):
            await working.emit("order.paid", idempotency_key=key)
        proxy.cut()
        await proxy.become("pass")
        await working.emit("order.paid")
        stored = await postgres.ask(STORED, key)
        return (key, stored) if stored else None

    key, stored = await eventually(stored_without_an_answer, within=timedelta(seconds=60))
    trigger = await working.emit("order.paid", idempotency_key=key)
    run = await working.engine.wait_for_run(trigger.run_ids[0], 30)

    assert (trigger.id, trigger.duplicate) == (stored, True)
    assert run.status == "completed"
    assert [ctx.run.id for ctx in work.calls].count(run.id) == 1


async def test_the_answer_to_a_commit_is_lost(
    working: PulseTest, postgres: OwnPostgres, proxy: TcpProxy
) -> None:
    """The application's writes and the signal are there together, and the run starts."""
    work = working.action("work")
    await working.define("order.paid", "work")
    await postgres.execute("CREATE TABLE orders (id text)")
    run_ids: list[str] = []

    own = await asyncpg.connect(working.dsn, command_timeout=2)

    async def pay() -> None:
        signal = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
        async with own.transaction():
            await own.execute("INSERT INTO orders VALUES ('order-1')")
            run_ids.extend((await working.engine.emit(signal, connection=own)).run_ids)
            await proxy.become("no replies")

    with pytest.raises(TimeoutError):
        await pay()
    own.terminate()
    assert await postgres.ask("SELECT count(*) FROM orders") == 1
    proxy.cut()
    await proxy.become("pass")
    run = await working.engine.wait_for_run(run_ids[0], 30)

    assert run.status == "completed"
    assert work.call_count == 1


async def test_answers_are_lost_again_and_again(
    working: PulseTest, postgres: OwnPostgres, proxy: TcpProxy
) -> None:
    """Claims, records and outbox commands too: every effect in a transaction is there once."""
    await postgres.execute("CREATE TABLE effects (run_id text)")

    async def note(ctx: WorkflowContext) -> None:
        await ctx.connection.execute("INSERT INTO effects VALUES ($1)", ctx.run.id)

    working.engine.register_action("note", note, transactional=True)
    await working.define("fault.noted", "note")
    async with Load(working) as load:
        run_ids: list[str] = []
        for _ in range(4):
            run_ids += (await working.emit("fault.noted")).run_ids
            await load.goes_on(5)
            await proxy.become("no replies")
            await load.fails()
            proxy.cut()
            await proxy.become("pass")
        await load.goes_on()
    runs = [await working.engine.wait_for_run(run_id, 60) for run_id in run_ids]

    assert {run.status for run in runs} == {"completed"}, [run.error_message for run in runs]
    effects = await postgres.ask("SELECT array_agg(run_id ORDER BY run_id) FROM effects")
    assert effects == sorted(run_ids)
    assert {type(error) for error in load.errors} <= EXPECTED
    await load.check()


async def test_a_slow_network_is_no_error(
    servers: EmbeddedServices, postgres: OwnPostgres, proxy: TcpProxy
) -> None:
    """Up to 40 ms each way on every piece: fewer signals, all of them at the first try."""
    dsn = through(postgres.dsn, proxy.port)
    patient = timedelta(seconds=20)
    async with working_on(postgres, dsn, servers, postgres_timeout=patient) as pulse:
        proxy.latency = Latency(seconds=0.005, jitter_seconds=0.035)
        async with Load(pulse) as load:
            await load.goes_on(20)
        assert load.errors == []
        await load.check()


async def test_a_handler_emits_through_a_short_outage_without_failing(
    working: PulseTest, proxy: TcpProxy
) -> None:
    """Its one attempt is the tenant's; an outage must not use it up."""
    emitted: list[str] = []

    async def announce(ctx: WorkflowContext) -> None:
        await proxy.become("down")
        async with asyncio.TaskGroup() as group:
            signal = {"source": SOURCE, "type": "order.announced"}
            emitting = group.create_task(ctx.emit(signal))
            with pytest.raises(PostgresUnavailableError):
                await working.emit("order.paid")
            await proxy.become("pass")
        emitted.append(emitting.result().id)

    working.signal("order.announced")
    working.engine.register_action("announce", announce)
    await working.define("order.paid", "announce")
    trigger = await working.emit("order.paid")
    run = await working.engine.wait_for_run(trigger.run_ids[0], 30)

    assert (run.status, run.error_message) == ("completed", None)
    assert len(emitted) == 1
