"""The schedules of an engine, and ticks at any time."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleRange,
    ScheduleSpec,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import contract
from pulse_temporal.contract import CronTicked
from tests.harness import PulseTest, eventually

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clocks:
    """The schedules of one engine, seen from Temporal's side."""

    def __init__(self, pulse: PulseTest, client: Client, connection: asyncpg.Connection) -> None:
        self.pulse = pulse
        self.client = client
        self.connection = connection

    def handle(self, definition_id: str) -> ScheduleHandle:
        """Return a handle on a definition's schedule."""
        queue = self.pulse.engine.options.queue_prefix
        return self.client.get_schedule_handle(contract.schedule_id(queue, definition_id))

    async def find(self, definition_id: str) -> ScheduleDescription | None:
        """Return a definition's schedule, or None."""
        try:
            return await self.handle(definition_id).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def settled(self, definition_id: str) -> Schedule | None:
        """Return a definition's schedule when all commands have been executed."""

        async def ask() -> bool:
            return await self.connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

        await eventually(ask)
        found = await self.find(definition_id)
        return found.schedule if found else None

    async def exists(self, definition_id: str) -> Schedule:
        """Return a definition's schedule, which must exist."""
        found = await self.settled(definition_id)
        assert found is not None
        return found

    async def start_tick(
        self, schedule: ScheduleHandle, nominal: datetime = NOON
    ) -> WorkflowHandle[object, CronTicked]:
        """Let Temporal start the tick of a nominal time, as it would have done at that time."""
        tick = self.client.get_workflow_handle(
            f"{schedule.id}-{nominal:%Y-%m-%dT%H:%M:%SZ}", result_type=CronTicked
        )

        async def newest() -> str | None:
            try:
                return (await tick.describe()).run_id
            except RPCError:
                return None

        earlier = await newest()
        await schedule.backfill(ScheduleBackfill(nominal, nominal))

        async def is_started() -> bool:
            return await newest() != earlier

        await eventually(is_started)
        return tick

    async def tick(self, definition_id: str, nominal: datetime = NOON) -> CronTicked:
        """Let a definition's cron tick for a nominal time, and give what came of it."""
        return await (await self.start_tick(self.handle(definition_id), nominal)).result()

    async def lagging(self, definition_id: str) -> ScheduleHandle:
        """Return a copy of a definition's schedule, which follows no change any more."""
        action = (await self.exists(definition_id)).action
        assert isinstance(action, ScheduleActionStartWorkflow)
        action.id = f"lagging-{action.id}"
        spec = ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(12)])])
        return await self.client.create_schedule(action.id, Schedule(action=action, spec=spec))

    async def triggers(self) -> int:
        """Count the signals stored."""
        return await self.connection.fetchval("SELECT count(*) FROM pulse_triggers")
