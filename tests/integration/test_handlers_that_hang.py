"""Handlers that hang, and records that Postgres refuses, cost only what is theirs."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from pulse_temporal import WorkflowContext, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action
from tests.harness import PulseTest, checked_invariants, eventually, make_pulse

THREADS = 2
"""Of a worker with ``concurrency`` 1."""

REFUSE_RECORDS = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no room' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON pulse_workflow_step_runs
FOR EACH ROW WHEN (NEW.status = 'completed') EXECUTE FUNCTION refuse();
"""


@pytest.fixture
async def small(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Start an engine with room for one handler of each kind."""
    engine = create_engine(
        database, servers.temporal_address, queue_prefix="handlers-that-hang", concurrency=1
    )
    async with checked_invariants(database), engine:
        yield PulseTest(engine, dsn=database, temporal_address=servers.temporal_address)


async def test_hanging_threads_cost_nobody_else_an_attempt(small: PulseTest) -> None:
    """Who finds no thread is not called, loses nothing, and says what it waits for."""
    release = threading.Event()
    calls: list[int] = []

    @small.engine.action("hang")
    def hang(_: WorkflowContext) -> None:
        release.wait(60)

    @small.engine.action("pay")
    def pay(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)

    await small.define("tenant.hangs", action("hang", timeoutMs=200), tenant_id="tenant-h")
    await small.define("order.paid", action("pay", timeoutMs=500))
    try:
        for _ in range(THREADS):
            run = await small.emit_and_wait("tenant.hangs", tenant_id="tenant-h")
            assert run.status == "failed"
        (run_id,) = (await small.emit("order.paid")).run_ids

        async def waits() -> str | None:
            return (await small.steps(run_id))["0"].blocked_reason

        assert f"All {THREADS} threads" in await eventually(waits)
        assert calls == []
    finally:
        release.set()
    run = await small.engine.wait_for_run(run_id, 60)

    assert (run.status, run.error_message) == ("completed", None)
    assert calls == [1]


async def test_a_record_that_postgres_never_takes_fails_the_step(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    """The handler is not called again for ever."""
    await connection.execute(REFUSE_RECORDS)
    pulse = make_pulse(database, servers.temporal_address, max_lost_workers=2)
    async with pulse.engine:
        pay = pulse.action("pay")
        await pulse.define("order.paid", "pay")
        trigger = await pulse.emit("order.paid")
        run = await pulse.engine.wait_for_run(trigger.run_ids[0], 60)

    assert run.status == "failed"
    assert "WorkerLostError" in (run.error_message or "")
    assert pay.call_count == 2
