"""A transactional action's effect and its record commit together: exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pulse_temporal import ConfigurationError, TriggerEnvelope, WorkflowContext, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import Gate, action
from tests.harness import SOURCE, PulseTest, eventually, make_pulse

if TYPE_CHECKING:
    from pulse_temporal.handlers.context import HandlerConnection

TWO = {"maxAttempts": 2, "backoffMs": 100}
CANCEL_SLEEP = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND state = 'active' AND query LIKE '%pg_sleep%'
"""


@pytest.fixture
async def payments(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Return a connection to a database with a table of the application."""
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
    gate = Gate(name="pay")

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


async def close_it(connection: HandlerConnection) -> None:
    await connection.close()


async def terminate_it(connection: HandlerConnection) -> None:
    connection.terminate()


async def leave_a_task_on_it(connection: HandlerConnection) -> None:
    background.append(asyncio.ensure_future(connection.execute("SELECT pg_sleep(2)")))
    await asyncio.sleep(0)


async def give_statements_no_time(connection: HandlerConnection) -> None:
    await connection.execute("SET LOCAL statement_timeout = '1ms'")
    await connection.execute("SELECT set_config('pulse_test.slow', 'yes', true)")


async def lose_its_rights(connection: HandlerConnection) -> None:
    await connection.execute("SET LOCAL ROLE pg_monitor")


background: list[asyncio.Future[str]] = []
"""Keeps tasks that handlers leave behind."""

SLOW_WHEN_ASKED = """
CREATE FUNCTION wait_when_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('pulse_test.slow', true) = 'yes' THEN
        PERFORM pg_sleep(600);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER wait_when_asked BEFORE UPDATE ON pulse_workflow_step_runs
FOR EACH ROW EXECUTE FUNCTION wait_when_asked();
"""


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(close_it, "closed the connection", id="closed"),
        pytest.param(terminate_it, "closed the connection", id="terminated"),
        pytest.param(leave_a_task_on_it, "another operation is in progress", id="busy"),
        pytest.param(give_statements_no_time, "statement timeout", id="no time"),
        pytest.param(lose_its_rights, "permission denied", id="no rights"),
    ],
)
async def test_a_handler_that_spoils_its_connection_has_failed(
    pulse: PulseTest,
    payments: asyncpg.Connection,
    spoil: Callable[[HandlerConnection], Awaitable[None]],
    reason: str,
) -> None:
    """Its effect cannot be recorded, so it is undone, and the attempt says why."""
    calls: list[int] = []
    await payments.execute(SLOW_WHEN_ASKED)

    @pulse.engine.action("pay", transactional=True)
    async def pay_and_spoil(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)
        await pay(ctx)
        if ctx.step.attempt == 1:
            await spoil(ctx.connection)

    await pulse.define("order.paid", action("pay", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert calls == [1, 2]
    assert await attempts_paid(payments) == [2]
    entries = await pulse.engine.get_run_timeline(run.id)
    (failure,) = [entry for entry in entries if entry.type == "step_failed"]
    assert reason in str(failure.detail["error"])
    await asyncio.gather(*background, return_exceptions=True)


async def test_a_connection_that_postgres_ends_costs_no_attempt(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    """Its effect is undone, so calling the handler again is safe, and the fault is nobody's."""
    calls: list[int] = []

    @pulse.engine.action("pay", transactional=True)
    async def pay_through_a_restart(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)
        await pay(ctx)
        if len(calls) == 1:
            pid = ctx.connection.get_server_pid()
            await payments.execute("SELECT pg_terminate_backend($1)", pid)
            await pay(ctx)

    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed", run.error_message
    assert calls == [1, 1]
    assert await attempts_paid(payments) == [1]


async def test_a_statement_that_an_operator_cancels_costs_no_attempt(
    pulse: PulseTest, payments: asyncpg.Connection
) -> None:
    calls: list[int] = []
    background: list[asyncio.Future[None]] = []

    async def cancel(pid: int) -> None:
        async def is_canceled() -> bool:
            return await payments.fetchval(CANCEL_SLEEP, pid) is not None

        await eventually(is_canceled)

    @pulse.engine.action("pay", transactional=True)
    async def pay_slowly(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)
        await pay(ctx)
        if len(calls) == 1:
            background.append(asyncio.ensure_future(cancel(ctx.connection.get_server_pid())))
            await ctx.connection.execute("SELECT pg_sleep(60)")

    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed", run.error_message
    assert calls == [1, 1]
    assert await attempts_paid(payments) == [1]
    await asyncio.gather(*background)


async def test_a_connection_found_dead_by_a_write_costs_no_attempt(
    pulse: PulseTest, database: str
) -> None:
    """The event loop has not heard of its end, when the handler's next statement finds it out."""
    pids: list[int] = []

    async def end(pid: int) -> None:
        admin = await asyncpg.connect(database)
        await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        await admin.close()

    async def pay(ctx: WorkflowContext) -> None:
        pids.append(ctx.connection.get_server_pid())
        if len(pids) == 1:
            other = threading.Thread(target=asyncio.run, args=(end(pids[0]),))
            other.start()
            other.join()
        await ctx.connection.execute("SELECT 1")

    pulse.engine.register_action("pay", pay, transactional=True)
    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed", run.error_message
    assert len(pids) == 2


async def test_a_connection_that_breaks_again_and_again_fails_the_step(
    servers: EmbeddedServices, database: str, payments: asyncpg.Connection
) -> None:
    """What looks like infrastructure may be the handler's own doing, and must end."""
    pulse = make_pulse(database, servers.temporal_address, max_lost_workers=2)
    calls: list[int] = []

    @pulse.engine.action("pay", transactional=True)
    async def pay_and_cut(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)
        await pay(ctx)
        await ctx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async with pulse.engine:
        await pulse.define("order.paid", "pay")
        run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "WorkerLostError" in (run.error_message or "")
    assert calls == [1, 1]
    assert await attempts_paid(payments) == []


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
    assert ship.call_count == 1


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
