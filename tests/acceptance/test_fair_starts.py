"""A tenant's flood delays nobody else's runs: one that comes later ends in the midst of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import asyncpg
import pytest

from pulse_temporal import TriggerEnvelope, WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import SOURCE, PulseTest, eventually, make_pulse

NOISY, QUIET = "noisy", "quiet"
FLOOD = 300
BEFORE = FLOOD // 10
"""Runs of the flood that may have ended before the quiet tenant's, though they came earlier."""

ENDED = "SELECT count(*) FROM pulse_workflow_runs WHERE tenant_id = $1 AND completed_at < $2"

LOST = "UPDATE pulse_outbox SET leased_until = now() + interval '1 s', tries = 1"


async def work(_: WorkflowContext) -> None:
    """Do nothing: what is asked is whose turn it is."""


async def define(pulse: PulseTest, *, queued: bool = False) -> None:
    """Let both tenants have the same workflow of three steps."""
    pulse.engine.register_action("work", work, queued=queued)
    for tenant_id in (NOISY, QUIET):
        await pulse.define(
            "order.paid",
            *({"type": "action", "name": f"work {n}", "uses": "work"} for n in range(3)),
            tenant_id=tenant_id,
        )


async def flood(
    pulse: PulseTest, *, connection: asyncpg.Connection | None = None
) -> Sequence[TriggerEnvelope]:
    """Emit many signals of the noisy tenant at once."""
    signal = {"tenantId": NOISY, "source": SOURCE, "type": "order.paid"}
    return await pulse.engine.emit_many([signal] * FLOOD, connection=connection)


async def ended_before(
    pulse: PulseTest, run_ids: Sequence[str], connection: asyncpg.Connection
) -> int:
    """Wait for the quiet tenant's run; give how many of the flood's had ended by then."""
    (run_id,) = run_ids
    run = await pulse.engine.wait_for_run(run_id, 60)
    assert run.status == "completed"
    return await connection.fetchval(ENDED, NOISY, run.completed_at)


@pytest.fixture
async def other(
    pulse: PulseTest, servers: EmbeddedServices, database: str
) -> AsyncGenerator[PulseTest]:
    """Yield a second engine with the same queue, which works too."""
    made = make_pulse(database, servers.temporal_address, like=pulse)
    made.signal("order.paid")
    yield made
    await made.engine.stop()


@pytest.mark.parametrize("queued", [False, True], ids=["short", "queued"])
async def test_beside_a_flood_from_the_same_process(
    pulse: PulseTest, connection: asyncpg.Connection, *, queued: bool
) -> None:
    await define(pulse, queued=queued)
    await flood(pulse)

    trigger = await pulse.emit("order.paid", tenant_id=QUIET)

    assert await ended_before(pulse, trigger.run_ids, connection) <= BEFORE


async def test_beside_a_flood_from_another_process(
    pulse: PulseTest, other: PulseTest, connection: asyncpg.Connection
) -> None:
    """Both work, and both have a dispatcher and a relay of their own."""
    await define(pulse)
    other.engine.register_action("work", work)
    await other.engine.start()
    await flood(other)

    trigger = await pulse.emit("order.paid", tenant_id=QUIET)

    assert await ended_before(pulse, trigger.run_ids, connection) <= BEFORE


async def test_behind_joined_emits(
    pulse: PulseTest, connection: asyncpg.Connection, database: str
) -> None:
    """A transaction of the application leaves its starts to the relay."""
    await define(pulse)
    writing = await asyncpg.connect(database)
    async with writing.transaction():
        await flood(pulse, connection=writing)
    async with writing.transaction():
        trigger = await pulse.engine.emit(
            {"tenantId": QUIET, "source": SOURCE, "type": "order.paid"}, connection=writing
        )
    await writing.close()

    assert await ended_before(pulse, trigger.run_ids, connection) <= BEFORE


async def test_after_a_time_without_workers(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await define(idle_pulse)
    await flood(idle_pulse)
    trigger = await idle_pulse.emit("order.paid", tenant_id=QUIET)

    await idle_pulse.engine.start()

    assert await ended_before(idle_pulse, trigger.run_ids, connection) <= BEFORE


async def test_starts_that_were_leased_and_lost_come_back_to_two_workers(
    pulse: PulseTest, other: PulseTest, connection: asyncpg.Connection, database: str
) -> None:
    """Each run is made once, whoever of the two starts it."""
    calls: list[str] = []

    async def count(ctx: WorkflowContext) -> None:
        calls.append(ctx.run.id)

    for pulse_test in (pulse, other):
        pulse_test.engine.register_action("work", count)
    await pulse.define("order.paid", "work", tenant_id=NOISY)
    lost = await asyncpg.connect(database)
    async with lost.transaction():
        triggers = await flood(pulse, connection=lost)
        await lost.execute(LOST)
    await lost.close()
    await other.engine.start()

    async def no_command_is_left() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    for trigger in triggers:
        (run_id,) = trigger.run_ids
        assert (await pulse.engine.wait_for_run(run_id, 60)).status == "completed"
    assert len(calls) == len(set(calls)) == FLOOD
    await eventually(no_command_is_left)
