"""Temporal is killed, or swallows every word: signals are stored, calls end, work goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import Engine
from pulse_temporal.testing import delay
from tests.faults.own_temporal import OwnTemporal, impatient
from tests.harness import eventually
from tests.proxy import TcpProxy

pytestmark = pytest.mark.faults

RUN_SECONDS = 60.0
BOUND_SECONDS = 40.0
"""Ample for a call that a silent Temporal may delay by a few of its ``temporal_timeout``."""


@pytest.fixture
async def proxy(temporal: OwnTemporal) -> AsyncGenerator[TcpProxy]:
    """Run a proxy before it."""
    async with TcpProxy(temporal.port) as made:
        yield made


async def outbox_is_empty(connection: asyncpg.Connection) -> bool:
    """Return whether every command has been carried out."""
    return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0


async def test_temporal_is_killed_and_comes_back(
    database: str, temporal: OwnTemporal, connection: asyncpg.Connection
) -> None:
    """Emits succeed meanwhile, cancels hold, the outbox drains, every run is over."""
    pulse = impatient(database, temporal.server.address)
    calls = [pulse.action("work"), pulse.action("after")]
    await pulse.define("order.paid", "work", delay("pause", 300), "after")
    async with pulse.engine:
        before = [(await pulse.emit("order.paid")).run_ids[0] for _ in range(5)]
        await temporal.kill()
        during = [(await pulse.emit("order.paid")).run_ids[0] for _ in range(30)]
        victims = [before[0], during[0], during[1]]
        canceled = [await pulse.engine.cancel_run(run_id, "stop") for run_id in victims]
        await temporal.start()
        after = [(await pulse.emit("order.paid")).run_ids[0] for _ in range(5)]
        runs = {
            run_id: await pulse.engine.wait_for_run(run_id, RUN_SECONDS)
            for run_id in (*before, *during, *after)
        }
        await eventually(lambda: outbox_is_empty(connection), within=timedelta(seconds=60))

    assert [run.status for run in canceled] == ["canceled"] * 3
    assert {run.id: run.status for run in runs.values()} == {
        run_id: "canceled" if run_id in victims else "completed" for run_id in runs
    }
    called = {ctx.run.id for probe in calls for ctx in probe.calls}
    assert called.isdisjoint(victims[1:]), "a run that was canceled before its start never ran"


async def test_a_silent_temporal_delays_no_emit(
    database: str, temporal: OwnTemporal, proxy: TcpProxy
) -> None:
    """It accepts connections and answers nothing; what was emitted runs when it speaks again."""
    pulse = impatient(database, proxy.address)
    work = pulse.action("work")
    await pulse.define("order.paid", "work")
    async with pulse.engine:
        await proxy.become("black hole")
        async with asyncio.timeout(BOUND_SECONDS):
            run_ids = [(await pulse.emit("order.paid")).run_ids[0] for _ in range(20)]
            canceled = await pulse.engine.cancel_run(run_ids[0])
        proxy.cut()
        await proxy.become("pass")
        runs = [await pulse.engine.wait_for_run(run_id, RUN_SECONDS) for run_id in run_ids]

    assert canceled.status == "canceled"
    assert [run.status for run in runs] == ["canceled"] + ["completed"] * 19
    assert temporal.port != proxy.port
    assert len({ctx.run.id for ctx in work.calls}) == 19


async def started_and_stopped(engine: Engine) -> None:
    """Start an engine and stop it, each within its bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        await engine.start()
    async with asyncio.timeout(BOUND_SECONDS):
        await engine.stop()


async def test_start_and_stop_end_while_temporal_is_silent(database: str, proxy: TcpProxy) -> None:
    """Silent from the start: ``start`` does not wait for it for long."""
    await proxy.become("black hole")
    await started_and_stopped(impatient(database, proxy.address).engine)


async def test_stop_ends_when_temporal_has_fallen_silent(database: str, proxy: TcpProxy) -> None:
    """Also in the middle of a handler, whose end Temporal does not hear of."""
    pulse = impatient(database, proxy.address)
    gate = pulse.gate("gate")
    await pulse.define("order.paid", "gate")
    await pulse.engine.start()
    trigger = await pulse.emit("order.paid")
    await gate.reached()
    await proxy.become("black hole")
    async with asyncio.timeout(BOUND_SECONDS):
        await pulse.engine.stop()
    proxy.cut()
    await proxy.become("pass")
    gate.open()
    async with pulse.engine:
        run = await pulse.engine.wait_for_run(trigger.run_ids[0], RUN_SECONDS)

    assert run.status == "completed"
