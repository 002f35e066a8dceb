"""What Postgres does to the signals of a handler is no failed attempt of that handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import PulseError, WorkflowContext, WorkflowRun
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import Gate, action
from tests.harness import SOURCE, PulseTest, eventually, make_pulse

WAITING = """
SELECT pid, query_start FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
"""
EMIT = "%INSERT INTO%pulse_triggers%"
LOOK = "%WHERE false%"
"""What asks, before a lost delivery is made again, whether signals can be stored."""
LEAVES = "SELECT count(*) FROM pulse_triggers WHERE type = 'order.leaf'"
LEAF = {"source": SOURCE, "type": "order.leaf"}

Emit = Callable[[WorkflowContext], Awaitable[None]]


@pytest.fixture
async def impatient(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield a working engine whose statements may take a moment only."""
    made = make_pulse(
        database,
        servers.temporal_address,
        postgres_timeout=timedelta(milliseconds=300),
        max_lost_workers=2,
    )
    async with made.engine:
        yield made


@asynccontextmanager
async def locked_signals(dsn: str) -> AsyncGenerator[None]:
    """Lock the table of signals as an index that is built without CONCURRENTLY does."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE pulse_triggers IN SHARE MODE")
            yield
    finally:
        await connection.close()


async def waiting(connection: asyncpg.Connection, query: str = EMIT) -> list[asyncpg.Record]:
    """Return the statements that wait to store a signal."""
    return await connection.fetch(WAITING, query)


async def several_wait(connection: asyncpg.Connection, query: str) -> None:
    """Wait until three statements, one after the other, have waited for the lock."""
    seen: set[object] = set()

    async def enough() -> bool:
        seen.update(row["query_start"] for row in await waiting(connection, query))
        return len(seen) > 2

    await eventually(enough, within=timedelta(seconds=30))


async def let_it_through(ctx: WorkflowContext) -> None:
    await ctx.emit(LEAF)


async def wrap_it(ctx: WorkflowContext) -> None:
    try:
        await ctx.emit(LEAF)
    except PulseError as error:
        raise ValueError("the order is not announced") from error


async def group_it(ctx: WorkflowContext) -> None:
    try:
        await ctx.emit(LEAF)
    except PulseError as error:
        raise ExceptionGroup("the order is not announced", [error, KeyError("order")]) from None


async def swallow_it(ctx: WorkflowContext) -> None:
    try:
        await ctx.emit(LEAF)
    except PulseError:
        ctx.log("the order is not announced")


async def fail_in_its_place(ctx: WorkflowContext) -> None:
    is_announced = False
    try:
        await ctx.emit(LEAF)
        is_announced = True
    except PulseError:
        ctx.log("the order is not announced")
    assert is_announced


@pytest.mark.parametrize(
    "emit", [let_it_through, wrap_it, group_it, swallow_it, fail_in_its_place]
)
async def test_a_canceled_emit_of_a_transactional_action_is_no_failed_attempt(
    pulse: PulseTest, connection: asyncpg.Connection, emit: Emit
) -> None:
    """An operator cancels Pulse's own statement; the effect is undone and made again."""
    gate = Gate(name="pay")
    await connection.execute("CREATE TABLE paid (attempt int)")

    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> None:
        await gate(ctx)
        await ctx.connection.execute("INSERT INTO paid VALUES ($1)", ctx.step.attempt)
        await emit(ctx)

    await pulse.define("order.paid", "pay")
    pulse.signal("order.leaf")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await gate.reached()
    async with locked_signals(pulse.dsn):
        gate.open()
        (held_up,) = await eventually(lambda: waiting(connection))
        await connection.execute("SELECT pg_cancel_backend($1)", held_up["pid"])
    run = await pulse.engine.wait_for_run(run_id)

    await assert_announced_once(pulse, run, gate, connection, calls=2)
    assert await connection.fetchval("SELECT count(*) FROM paid") == 1


@pytest.mark.parametrize(("timeout_ms", "query"), [(1_000, LOOK), (10_000, EMIT)])
async def test_a_lock_on_the_signals_costs_no_attempt_however_long_it_lasts(
    impatient: PulseTest, connection: asyncpg.Connection, timeout_ms: int, query: str
) -> None:
    """An emit waits as long as its attempt has time; then the step waits for Postgres."""
    gate = Gate(name="announce")

    async def announce(ctx: WorkflowContext) -> None:
        await gate(ctx)
        await ctx.emit(LEAF)

    impatient.engine.register_action("announce", announce)
    await impatient.define("order.paid", action("announce", timeoutMs=timeout_ms))
    impatient.signal("order.leaf")
    (run_id,) = (await impatient.emit("order.paid")).run_ids
    await gate.reached()
    async with locked_signals(impatient.dsn):
        gate.open()
        await several_wait(connection, query)
    run = await impatient.engine.wait_for_run(run_id, 30)

    await assert_announced_once(impatient, run, gate, connection, calls=None)


async def test_a_bound_of_the_handlers_own_around_an_emit_costs_no_attempt(
    impatient: PulseTest, connection: asyncpg.Connection
) -> None:
    gate = Gate(name="announce")

    async def announce(ctx: WorkflowContext) -> None:
        await gate(ctx)
        async with asyncio.timeout(1.5):
            await ctx.emit(LEAF)

    impatient.engine.register_action("announce", announce)
    await impatient.define("order.paid", "announce")
    impatient.signal("order.leaf")
    (run_id,) = (await impatient.emit("order.paid")).run_ids
    await gate.reached()
    async with locked_signals(impatient.dsn):
        gate.open()
        await several_wait(connection, LOOK)
    run = await impatient.engine.wait_for_run(run_id, 30)

    await assert_announced_once(impatient, run, gate, connection, calls=None)


async def test_a_thread_that_is_held_up_in_an_emit_costs_no_attempt(
    impatient: PulseTest, connection: asyncpg.Connection
) -> None:
    """The handler's time is over while its thread waits for Postgres."""
    entered, opened = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []
    loop = asyncio.get_running_loop()

    def announce(ctx: WorkflowContext) -> None:
        attempts.append(ctx.step.attempt)
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(opened.wait(), loop).result()
        ctx.emit_blocking(LEAF)

    impatient.engine.register_action("announce", announce)
    await impatient.define("order.paid", action("announce", timeoutMs=1_500))
    impatient.signal("order.leaf")
    (run_id,) = (await impatient.emit("order.paid")).run_ids
    await entered.wait()
    async with locked_signals(impatient.dsn):
        opened.set()
        await several_wait(connection, LOOK)
    run = await impatient.engine.wait_for_run(run_id, 30)

    assert run.status == "completed", run.error_message
    assert set(attempts) == {1}
    assert await connection.fetchval(LEAVES) == 1


async def assert_announced_once(
    pulse: PulseTest,
    run: WorkflowRun,
    gate: Gate,
    connection: asyncpg.Connection,
    *,
    calls: int | None,
) -> None:
    """Check that a run's one step has used one attempt, whatever the number of its calls."""
    assert run.status == "completed", run.error_message
    assert {ctx.step.attempt for ctx in gate.calls} == {1}
    assert calls in (None, len(gate.calls))
    assert await connection.fetchval(LEAVES) == 1
    assert (await pulse.steps(run.id))["0"].attempt == 1
