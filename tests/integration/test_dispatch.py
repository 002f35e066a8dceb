"""What becomes of a start that Temporal will never accept."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import Client

from pulse_temporal.config import EngineOptions
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.starts import StartableRun
from pulse_temporal.services.outbox import commands, starts
from pulse_temporal.temporal.workflows import StartRefusedError
from tests.harness import SOURCE, TENANT, PulseTest, eventually, make_pulse


async def test_a_refused_start_fails_the_run_also_after_a_retry(
    pulse: PulseTest, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, blocks no other command, and may be retried when the cause is gone."""

    async def no_command_is_left() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    async def refuse(*_: object, **__: object) -> None:
        raise StartRefusedError("the server finds the input too large")

    work = pulse.action("work")
    await pulse.define("order.paid", "work")
    with monkeypatch.context() as patch:
        patch.setattr(commands, "start_run", refuse)
        run = await pulse.emit_and_wait("order.paid")
        assert (run.status, run.error_message) == (
            "failed",
            "the server finds the input too large",
        )
        await pulse.engine.retry_run(run.id)
        again = await pulse.engine.wait_for_run(run.id)
        assert (again.status, again.generation) == ("failed", 2)
        await eventually(no_command_is_left)
    await pulse.engine.retry_run(run.id)
    last = await pulse.engine.wait_for_run(run.id)
    assert (last.status, last.generation, work.call_count) == ("completed", 3, 1)


async def test_a_burst_beyond_the_queue_loses_no_run_and_leaves_no_command(
    servers: EmbeddedServices,
    database: str,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What finds no room in the process is left to the relay, however long it was leased."""
    monkeypatch.setattr(starts, "LONGEST_LINE", 5)
    pulse = make_pulse(database, servers.temporal_address, emit_lease=timedelta(minutes=5))
    await pulse.engine.start()
    await pulse.define("order.paid")
    signal = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}

    triggers = await pulse.engine.emit_many([signal] * 60)

    async with asyncio.timeout(30):
        for trigger in triggers:
            (run_id,) = trigger.run_ids
            assert (await pulse.engine.wait_for_run(run_id)).status == "completed"

    async def no_command_is_left() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    await eventually(no_command_is_left)
    await pulse.engine.stop()


async def test_a_start_that_hangs_holds_up_no_other(
    pulse: PulseTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs start past one that Temporal does not answer for, in any number."""
    hung = asyncio.Event()
    start_run = commands.start_run

    async def start(
        client: Client,
        start: StartableRun,
        options: EngineOptions,
        *,
        database: str | None,
        eager: bool,
    ) -> None:
        if start.tenant_id == "hangs":
            hung.set()
            await asyncio.Event().wait()
        await start_run(client, start, options, database=database, eager=eager)

    monkeypatch.setattr(commands, "start_run", start)
    await pulse.define("order.paid", tenant_id="hangs")
    await pulse.define("order.paid")
    await pulse.emit("order.paid", tenant_id="hangs")
    async with asyncio.timeout(30):
        await hung.wait()

    for _ in range(3):
        assert (await pulse.emit_and_wait("order.paid")).status == "completed"
