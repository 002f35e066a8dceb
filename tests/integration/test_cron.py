"""A definition's cron and its Temporal Schedule: one follows the other, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    ScheduleRange,
)
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import contract
from pulse_temporal.contract import CronClock, CronTicked
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.temporal import connect
from tests.harness import TENANT, PulseTest, eventually, make_pulse

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FAR = "0 0 29 2 *"
"""Never fires while a test runs."""


class Clocks:
    """The schedules of one engine, seen from Temporal's side."""

    def __init__(self, pulse: PulseTest, client: Client, connection: asyncpg.Connection) -> None:
        self.pulse = pulse
        self.client = client
        self.connection = connection

    def handle(self, definition_id: str) -> ScheduleHandle:
        """Give a handle on a definition's schedule."""
        queue = self.pulse.engine.options.queue_prefix
        return self.client.get_schedule_handle(contract.schedule_id(queue, definition_id))

    async def find(self, definition_id: str) -> ScheduleDescription | None:
        """Give a definition's schedule, or None."""
        try:
            return await self.handle(definition_id).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def settled(self, definition_id: str) -> Schedule | None:
        """Give a definition's schedule when all commands have been executed."""

        async def ask() -> bool:
            return await self.connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

        await eventually(ask)
        found = await self.find(definition_id)
        return found.schedule if found else None

    async def exists(self, definition_id: str) -> Schedule:
        """Give a definition's schedule, which must exist."""
        found = await self.settled(definition_id)
        assert found is not None
        return found

    async def tick(
        self, definition_id: str, nominal: datetime = NOON, clock: CronClock | None = None
    ) -> CronTicked:
        """Let a definition's cron tick for a nominal time, and give what came of it."""
        await self.handle(definition_id).backfill(
            ScheduleBackfill(
                start_at=nominal, end_at=nominal, overlap=ScheduleOverlapPolicy.ALLOW_ALL
            )
        )
        queue = self.pulse.engine.options.queue_prefix
        name = f"{contract.schedule_id(queue, definition_id)}-{nominal:%Y-%m-%dT%H:%M:%SZ}"
        tick = self.client.get_workflow_handle(name, result_type=CronTicked)

        async def ended() -> bool:
            try:
                return (await tick.describe()).close_time is not None
            except RPCError:
                return False

        await eventually(ended)
        return await tick.result()


@pytest.fixture
async def clocks(
    pulse: PulseTest, connection: asyncpg.Connection
) -> AsyncGenerator[Clocks]:
    client = await connect(pulse.temporal_address, namespace="default")
    yield Clocks(pulse, client, connection)


async def test_hello(pulse: PulseTest, clocks: Clocks) -> None:
    d = await pulse.define("clean.up", cronExpression="0 12 * * MON-FRI", timezone="UTC")
    s = await clocks.exists(d.id)
    print(s)
    r = await clocks.tick(d.id)
    print(r)
    run = await pulse.engine.wait_for_run(r.run_ids[0])
    print(run)
    v = (await clocks.find(d.id)).raw_description.info.update_time
    await pulse.engine.update_workflow(d.id, {"name": "x"})
    await clocks.exists(d.id)
    v2 = (await clocks.find(d.id)).raw_description.info.update_time
    print("UPD", v, v2)
    await pulse.engine.disable_workflow(d.id)
    s = await clocks.exists(d.id)
    print(s.state, (await clocks.find(d.id)).raw_description.info.update_time)
    print(await pulse.engine.next_runs(d.id))
    await pulse.engine.enable_workflow(d.id)
    print((await clocks.exists(d.id)).state)
    print(await pulse.engine.next_runs(d.id))
    await pulse.engine.delete_workflow(d.id)
    print(await clocks.settled(d.id))
    assert 0
