"""A run whose status changes while a list is read is in the list all the same."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
from typing_extensions import override

from pulse_temporal import RunFilter
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import runs
from pulse_temporal.store.database import Database
from pulse_temporal.store.places import NEWEST
from tests.harness import PulseTest


class RunsGoOn(Session):
    """A session in which all runs begin after the first statement of a list."""

    @override
    async def rows(self, name: str, /, **arguments: object) -> list[Record]:
        """Run a statement, and then let the runs begin."""
        found = await super().rows(name, **arguments)
        await self.connection.execute("UPDATE pulse_workflow_runs SET status = 'running'")
        return found


async def test_a_run_that_begins_between_two_statements_is_listed(
    idle_pulse: PulseTest, database: str, connection: asyncpg.Connection
) -> None:
    await idle_pulse.define("order.paid")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    store = Database(database, prefix="pulse_", timeout=timedelta(seconds=10))

    async with store.session() as session:
        reading = RunsGoOn(session.connection, session.statements, session.timeout_seconds)
        found = await runs.list_places(reading, RunFilter(), after=NEWEST, limit=10)

    await store.close()
    assert [place.id for place in found] == [run_id]
    await connection.execute("UPDATE pulse_workflow_runs SET status = 'pending'")
