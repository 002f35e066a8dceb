"""A transactional action's effect and its record commit together: exactly once."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import ConfigurationError, TriggerEnvelope, WorkflowContext, create_engine
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import SOURCE, Gate, PulseTest, action

TWO = {"maxAttempts": 2, "backoffMs": 100}


@pytest.fixture
async def payments(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Give a connection to a database with a table of the application."""
    await connection.execute("CREATE TABLE payments (run_id text, attempt int)")
    return connection


async def pay(ctx: WorkflowContext) -> None:
    """Write one row on the connection that Pulse lends."""
    await ctx.connection.execute(
        "INSERT INTO payments VALUES ($1, $2)", ctx.run.id, ctx.step.attempt
    )


async def attempts_paid(payments: asyncpg.Connection) -> list[int]:
    return [row["attempt"] for row in await payments.fetch("SELECT attempt FROM payments")]


async def test_effect_and_record_commit_together(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    @pulse.engine.action("pay", transactional=True)
    async def pay_once(ctx: WorkflowContext) -> dict[str, object]:
        await pay(ctx)
        return {"paid": True}

    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert run.context == {"pay": {"paid": True}}
    assert await attempts_paid(payments) == [1]


async def test_the_time_of_the_record_is_not_that_of_the_transaction(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    """The transaction is as old as the handler's call; the step ends when it is recorded."""
    gate = Gate()

    @pulse.engine.action("pay", transactional=True)
    async def pay_slowly(ctx: WorkflowContext) -> None:
        await pay(ctx)
        await gate(ctx)

    await pulse.define("order.paid", "pay")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await gate.reached()
    before_the_end = await payments.fetchval("SELECT clock_timestamp()")
    gate.open()
    await pulse.engine.wait_for_run(run_id)

    paid_at = (await pulse.steps(run_id))["0"].completed_at
    assert paid_at is not None
    assert paid_at >= before_the_end
    assert [
        entry.timestamp
        for entry in await pulse.engine.get_run_timeline(run_id)
        if entry.type == "step_completed"
    ] == [paid_at]


async def test_a_failed_attempt_leaves_no_effect(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    @pulse.engine.action("pay", transactional=True)
    async def pay_badly(ctx: WorkflowContext) -> None:
        await pay(ctx)
        ctx.log("paid")
        if ctx.step.attempt == 1:
            raise RuntimeError("after the effect")

    await pulse.define("order.paid", action("pay", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await attempts_paid(payments) == [2]
    logs = await pulse.engine.get_run_logs(run.id)
    assert [line.message for line in logs] == ["paid", "paid"], "what was tried stays visible"


async def test_an_attempt_that_takes_too_long_leaves_no_effect(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    @pulse.engine.action("pay", transactional=True)
    async def pay_for_ever(ctx: WorkflowContext) -> None:
        await pay(ctx)
        await asyncio.Event().wait()

    await pulse.define("order.paid", action("pay", timeoutMs=200))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert await attempts_paid(payments) == []


async def test_an_sql_error_that_was_swallowed_fails_the_attempt(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    """After it Postgres takes nothing more in that transaction, the record included."""

    @pulse.engine.action("pay", transactional=True)
    async def pay_carelessly(ctx: WorkflowContext) -> None:
        await pay(ctx)
        if ctx.step.attempt == 1:
            with contextlib.suppress(asyncpg.PostgresError):
                await ctx.connection.execute("SELECT 1 / 0")

    await pulse.define("order.paid", action("pay", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await attempts_paid(payments) == [2]
    entries = await pulse.engine.get_run_timeline(run.id)
    (failure,) = [entry for entry in entries if entry.type == "step_failed"]
    assert (
        "an earlier statement of this transaction failed" in str(failure.detail["error"]).lower()
    )


async def test_a_constraint_that_fails_at_the_commit_fails_the_attempt(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    await payments.execute(
        "ALTER TABLE payments ADD UNIQUE (run_id) DEFERRABLE INITIALLY DEFERRED"
    )

    @pulse.engine.action("pay", transactional=True)
    async def pay_twice(ctx: WorkflowContext) -> None:
        await pay(ctx)
        if ctx.step.attempt == 1:
            await pay(ctx)

    await pulse.define("order.paid", action("pay", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await attempts_paid(payments) == [2]


async def test_a_result_that_cannot_be_stored_leaves_no_effect(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    @pulse.engine.action("pay", transactional=True)
    async def pay_strangely(ctx: WorkflowContext) -> dict[str, object]:
        await pay(ctx)
        return {"amount": float("nan")}

    await pulse.define("order.paid", action("pay", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert await attempts_paid(payments) == []


async def test_a_signal_from_a_transactional_action_is_part_of_its_transaction(
    pulse: PulseTest,
) -> None:
    emitted: list[TriggerEnvelope] = []
    ship = pulse.action("ship")

    @pulse.engine.action("pay", transactional=True)
    async def announce(ctx: WorkflowContext) -> None:
        emitted.append(await ctx.emit({"source": SOURCE, "type": "order.ready"}))
        if ctx.step.attempt == 1:
            raise RuntimeError("after the emit")

    await pulse.define("order.ready", "ship")
    await pulse.define("order.paid", action("pay", retryPolicy=TWO))

    await pulse.emit_and_wait("order.paid")
    undone, done = emitted
    await pulse.engine.wait_for_run(done.run_ids[0])

    assert await pulse.engine.get_trigger(undone.id) is None
    assert await pulse.engine.get_run(undone.run_ids[0]) is None
    assert not done.duplicate
    assert ship.calls == 1


async def test_an_action_that_is_not_transactional_has_no_connection(pulse: PulseTest) -> None:
    @pulse.engine.action("pay")
    async def pay_elsewhere(ctx: WorkflowContext) -> None:
        await pay(ctx)

    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "register its action with transactional=True" in (run.error_message or "")


async def test_a_transactional_action_must_be_async(idle_pulse: PulseTest) -> None:
    def pay_in_a_thread(_: WorkflowContext) -> None: ...

    with pytest.raises(ConfigurationError, match="async def"):
        idle_pulse.engine.register_action("pay", pay_in_a_thread, transactional=True)


async def test_many_at_once_wait_for_connections_and_cost_no_attempt(
    servers: EmbeddedServices, database: str
) -> None:
    """On a small pool of the application they take turns, and nothing else starves."""
    async with asyncpg.create_pool(database, min_size=0, max_size=4) as pool:
        engine = create_engine(
            pool,
            servers.temporal_address,
            queue_prefix="many-transactions",
            postgres_timeout=timedelta(seconds=1),
            max_lost_workers=1,
        )
        pulse = PulseTest(engine, dsn=database, temporal_address=servers.temporal_address)
        async with engine:

            @engine.action("slow", transactional=True)
            async def slow(ctx: WorkflowContext) -> None:
                await ctx.connection.execute("SELECT pg_sleep(0.4)")

            assert callable(slow)
            await pulse.define("order.paid", "slow")
            triggers = await asyncio.gather(*(pulse.emit("order.paid") for _ in range(12)))
            for trigger in triggers:
                run = await engine.wait_for_run(trigger.run_ids[0], 60)
                assert (run.status, run.error_message) == ("completed", None)
