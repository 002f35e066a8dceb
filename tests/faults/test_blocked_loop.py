"""A handler that blocks the event loop is called once, and the log says who it is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action
from tests.harness import PulseTest, make_pulse

pytestmark = pytest.mark.faults

HEARTBEAT = timedelta(seconds=2)
LONG = 9.0
"""Seconds: longer than Temporal and its library wait for a heartbeat."""


@pytest.fixture
async def strict(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine whose silence is soon noticed."""
    pulse = make_pulse(database, servers.temporal_address, heartbeat_timeout=HEARTBEAT)
    async with pulse.engine:
        yield pulse


async def statuses(pulse: PulseTest, run_id: str) -> list[str]:
    return [each.status for each in await pulse.engine.get_step_attempts(run_id)]


@pytest.mark.parametrize("transactional", [False, True], ids=["plain", "transactional"])
async def test_the_success_of_a_handler_that_blocked_the_loop_is_recorded(
    strict: PulseTest, caplog: pytest.LogCaptureFixture, transactional: bool
) -> None:
    calls: list[int] = []

    @strict.engine.action("report", transactional=transactional)
    async def report(ctx: WorkflowContext) -> dict[str, object]:
        calls.append(ctx.step.attempt)
        time.sleep(LONG)  # noqa: ASYNC251 - the mistake
        return {"done": True}

    await strict.define("order.paid", "report")
    (run_id,) = (await strict.emit("order.paid")).run_ids
    run = await strict.engine.wait_for_run(run_id, 60)

    assert (run.status, run.error_message, calls) == ("completed", None, [1])
    assert await statuses(strict, run_id) == ["completed"]
    told = [each.getMessage() for each in caplog.records if "stood still" in each.getMessage()]
    assert len(told) == 1
    for part in ("action 'report'", run_id, "asyncio.to_thread", "time.sleep(LONG)"):
        assert part in told[0]


@pytest.mark.parametrize("timeout_ms", [1_500, 4_000], ids=["local", "queued"])
async def test_past_its_time_it_has_failed_once(strict: PulseTest, timeout_ms: int) -> None:
    calls: list[int] = []

    @strict.engine.action("report")
    async def report(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)
        time.sleep(LONG)  # noqa: ASYNC251 - the mistake

    await strict.define("order.paid", action("report", timeoutMs=timeout_ms))
    (run_id,) = (await strict.emit("order.paid")).run_ids
    run = await strict.engine.wait_for_run(run_id, 60)

    assert (run.status, calls) == ("failed", [1])
    assert "HandlerTimeoutError" in (run.error_message or "")
    assert "asyncio.to_thread" in (run.error_message or "")
    (attempt,) = await strict.engine.get_step_attempts(run_id)
    assert attempt.status == "timed_out"


async def test_a_handler_beside_one_that_blocks_the_loop_loses_no_attempt(
    strict: PulseTest, connection: asyncpg.Connection
) -> None:
    """Its own handler goes on when the loop does."""
    gate = strict.gate("wait")
    await strict.define("slow", "wait")
    (waiting,) = (await strict.emit("slow")).run_ids
    await gate.reached()

    @strict.engine.action("report")
    async def report(_: WorkflowContext) -> None:
        time.sleep(LONG)  # noqa: ASYNC251 - the mistake

    await strict.define("order.paid", "report")
    (run_id,) = (await strict.emit("order.paid")).run_ids
    assert (await strict.engine.wait_for_run(run_id, 60)).status == "completed"
    gate.open()
    run = await strict.engine.wait_for_run(waiting, 60)

    assert (run.status, len(gate.calls)) == ("completed", 1)
    assert not await connection.fetchval(
        "SELECT count(*) FROM pulse_step_attempts WHERE status = 'lost'"
    )
