"""While Temporal is away signals are stored; their runs start when it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal.embedded import embedded_temporal
from pulse_temporal.embedded.ports import LOCALHOST, free_ports
from tests.harness import PulseTest, eventually, make_pulse

LONG_ENOUGH = 60.0
"""Seconds in which a run must end once Temporal is there; reconnecting pauses up to 10 s."""


@pytest.fixture
def port() -> int:
    """Return a port on which nothing listens yet."""
    return free_ports([0])[0]


@pytest.fixture
async def lonely(database: str, port: int) -> AsyncGenerator[PulseTest]:
    """Yield an engine that was started while Temporal is away."""
    made = make_pulse(database, f"{LOCALHOST}:{port}")
    await made.engine.start()
    yield made
    await made.engine.stop()


async def test_an_engine_starts_and_stores_signals(lonely: PulseTest) -> None:
    lonely.action("pay")
    await lonely.define("order.paid", "pay")

    trigger = await lonely.emit("order.paid")

    run = await lonely.engine.get_run(trigger.run_ids[0])
    assert run is not None
    assert run.status == "pending"


async def test_runs_start_when_temporal_comes(
    lonely: PulseTest, port: int, tmp_path: Path
) -> None:
    pay = lonely.action("pay")
    await lonely.define("order.paid", "pay")
    run_ids = [(await lonely.emit("order.paid")).run_ids[0] for _ in range(5)]

    async with embedded_temporal(tmp_path, durable=False, ui=False, port=port):
        runs = [
            await lonely.engine.wait_for_run(run_id, timeout=LONG_ENOUGH) for run_id in run_ids
        ]
        await lonely.engine.stop()

    assert {run.status for run in runs} == {"completed"}
    assert pay.call_count == 5


async def test_a_run_can_be_canceled_without_temporal(
    lonely: PulseTest, port: int, tmp_path: Path, connection: asyncpg.Connection
) -> None:
    """And Temporal never hears of it: what was to be started is over."""
    pay = lonely.action("pay")
    await lonely.define("order.paid", "pay")
    trigger = await lonely.emit("order.paid")

    canceled = await lonely.engine.cancel_run(trigger.run_ids[0], "stop")
    later = await lonely.emit("order.paid")
    async with embedded_temporal(tmp_path, durable=False, ui=False, port=port):
        await lonely.engine.wait_for_run(later.run_ids[0], timeout=LONG_ENOUGH)

        async def is_outbox_empty() -> bool:
            return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

        await eventually(is_outbox_empty)
        await lonely.engine.stop()

    assert canceled.status == "canceled"
    assert await lonely.engine.get_run(canceled.id) == canceled
    assert [ctx.run.id for ctx in pay.calls] == list(later.run_ids)


async def test_an_engine_stops_without_temporal(lonely: PulseTest) -> None:
    await lonely.engine.stop()

    assert await lonely.engine.get_run("run_nobody") is None, "questions need no Temporal"


async def test_an_engine_may_be_started_again(
    lonely: PulseTest, port: int, tmp_path: Path
) -> None:
    lonely.action("pay")
    await lonely.define("order.paid", "pay")
    await lonely.engine.stop()

    async with embedded_temporal(tmp_path, durable=False, ui=False, port=port):
        await lonely.engine.start()
        run = await lonely.emit_and_wait("order.paid")
        await lonely.engine.stop()

    assert run.status == "completed"
