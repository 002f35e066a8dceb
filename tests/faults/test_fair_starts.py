"""A flood delays nobody else's runs, also after an outage and while workers come and go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal.testing import action
from tests.faults.crew import Crew, work
from tests.faults.own_temporal import OwnTemporal, impatient
from tests.harness import SOURCE, PulseTest, eventually
from tests.processes import Program

pytestmark = pytest.mark.faults

NOISY, QUIET = "noisy", "quiet"
FLOOD = 300
BEFORE = FLOOD // 10
"""Runs of the flood that may have ended before the quiet tenant's, though they came earlier."""

PATIENCE_SECONDS = 120.0
ENDED = "SELECT count(*) FROM pulse_workflow_runs WHERE tenant_id = $1 AND completed_at < $2"
LEASED = "SELECT count(*) FROM pulse_outbox WHERE leased_until > now()"


async def define(pulse: PulseTest, *steps: dict[str, object]) -> None:
    """Let both tenants have the same workflow."""
    for tenant_id in (NOISY, QUIET):
        await pulse.define("order.paid", *steps, tenant_id=tenant_id)


async def flood(pulse: PulseTest) -> list[str]:
    """Emit many signals of the noisy tenant at once; give their runs."""
    signal = {"tenantId": NOISY, "source": SOURCE, "type": "order.paid"}
    triggers = await pulse.engine.emit_many([signal] * FLOOD)
    return [run_id for trigger in triggers for run_id in trigger.run_ids]


async def ended_before(
    pulse: PulseTest, run_ids: Sequence[str], connection: asyncpg.Connection
) -> int:
    """Wait for the quiet tenant's run; give how many of the flood's had ended by then."""
    (run_id,) = run_ids
    run = await pulse.engine.wait_for_run(run_id, PATIENCE_SECONDS)
    assert run.status == "completed"
    return await connection.fetchval(ENDED, NOISY, run.completed_at)


async def outbox_is_empty(connection: asyncpg.Connection) -> bool:
    """Return whether every command has been carried out."""
    return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0


async def two_workers(crew: Crew) -> tuple[Program, Program]:
    """Start two processes that relay and work."""
    return await crew.start(), await crew.start()


async def test_two_worker_processes_take_turns_between_tenants(
    crew: Crew, connection: asyncpg.Connection
) -> None:
    """Each leases from the outbox by itself, and neither knows what the other has in line."""
    await define(crew.pulse, *(work(f"step {n}", timeoutMs=1_000) for n in range(3)))
    await two_workers(crew)
    await flood(crew.pulse)

    trigger = await crew.pulse.emit("order.paid", tenant_id=QUIET)

    assert await ended_before(crew.pulse, trigger.run_ids, connection) <= BEFORE


async def test_starts_of_a_process_that_is_killed_come_back(
    crew: Crew, connection: asyncpg.Connection
) -> None:
    """What it had leased and not started, the other process starts, each run once."""
    await define(crew.pulse, work("step", timeoutMs=1_000))
    doomed, _ = await two_workers(crew)
    run_ids = await flood(crew.pulse)

    async def has_leased() -> bool:
        return await connection.fetchval(LEASED) > BEFORE

    await eventually(has_leased)
    await doomed.kill()

    for run_id in run_ids:
        run = await crew.pulse.engine.wait_for_run(run_id, PATIENCE_SECONDS)
        assert run.status == "completed", run.error_message
    recorded = await connection.fetchval("SELECT count(*) FROM pulse_workflow_step_runs")
    assert recorded == FLOOD
    await eventually(lambda: outbox_is_empty(connection), within=timedelta(seconds=60))


async def test_after_an_outage_of_temporal(
    database: str, temporal: OwnTemporal, connection: asyncpg.Connection
) -> None:
    """The relays of all processes find the backlog at the same moment."""
    pulse = impatient(database, temporal.server.address)
    pulse.action("step 0")
    pulse.action("step 1")
    await define(pulse, *(action(f"step {n}") for n in range(2)))
    async with pulse.engine:
        await temporal.kill()
        await flood(pulse)
        trigger = await pulse.emit("order.paid", tenant_id=QUIET)
        await temporal.start()
        assert await ended_before(pulse, trigger.run_ids, connection) <= BEFORE
