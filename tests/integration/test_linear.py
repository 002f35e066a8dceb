"""What grows with a run grows in proportion: long lists, hooks on every step, blocked steps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import Limits, StepCompleteEvent
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.store import steps
from pulse_temporal.store.database import Database
from pulse_temporal.testing import condition
from tests.harness import PulseTest, eventually, make_pulse
from tests.integration.test_pauses_between_attempts import root_fence

MANY = 9_000


@pytest.fixture
async def opened(pulse: PulseTest) -> AsyncGenerator[Database]:
    """Yield the tables as another worker sees them."""
    database = Database(pulse.dsn, prefix="pulse_", timeout=timedelta(seconds=10))
    yield database
    await database.close()


async def test_a_condition_may_pass_over_thousands_of_steps(
    servers: EmbeddedServices, database: str
) -> None:
    """Each compared with each, the statement ran into its bound, and the run never ended."""
    limits = Limits(steps=MANY + 1, definition_bytes=4 << 20)
    pulse = make_pulse(database, servers.temporal_address, limits=limits)
    pulse.condition("no", returns=False)
    pulse.action("a")
    rest = [{"type": "action", "name": f"a{number}", "uses": "a"} for number in range(MANY)]
    await pulse.define("t", condition("no"), *rest)
    async with pulse.engine:
        run = await pulse.emit_and_wait("t")
    assert run.status == "completed"
    told = await pulse.engine.get_run_steps(run.id)
    assert [step.status for step in told] == ["completed"] + ["skipped"] * MANY
    assert {step.skipped_by for step in told[1:]} == {"0"}
    await pulse.engine.stop()


async def test_a_hook_that_is_not_async_needs_no_thread_of_the_application(
    servers: EmbeddedServices, database: str
) -> None:
    told: list[str] = []
    release = threading.Event()

    def on_step(event: StepCompleteEvent) -> None:
        told.append(event.step.step_name)

    pulse = make_pulse(database, servers.temporal_address, on_step=on_step)
    pulse.action("a")
    await pulse.define("t", "a")
    loop = asyncio.get_running_loop()
    busy = ThreadPoolExecutor(1)
    loop.set_default_executor(busy)
    held = loop.run_in_executor(None, release.wait)
    try:
        async with pulse.engine:
            await pulse.emit_and_wait("t")

            async def heard() -> bool:
                return told == ["a"]

            await eventually(heard)
    finally:
        release.set()
        await held
        loop.set_default_executor(ThreadPoolExecutor())
        busy.shutdown()


async def test_a_blocked_step_is_written_once(
    pulse: PulseTest, opened: Database, connection: asyncpg.Connection
) -> None:
    """Its delivery comes again every ten seconds, for an hour."""
    gate = pulse.gate("wait")
    pulse.action("later")
    await pulse.define("t", "wait", "later")
    (run_id,) = (await pulse.emit("t")).run_ids
    await gate.reached()
    fence = await root_fence(connection, run_id)

    async def block(reason: str) -> tuple[bool, object]:
        async with opened.session() as session:
            blocked = await steps.block(session, fence, "1", reason=reason)
        version: object = await connection.fetchval(
            "SELECT xmin FROM pulse_workflow_step_runs WHERE run_id = $1 AND path = '1'", run_id
        )
        assert blocked is not None
        return blocked.is_new, version

    first, second, third = await block("no"), await block("no"), await block("not yet")
    assert (first[0], second[0], third[0]) == (True, False, False)
    assert first[1] == second[1] != third[1]
    gate.open()
    await pulse.engine.wait_for_run(run_id)
