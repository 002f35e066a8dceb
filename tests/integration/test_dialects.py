"""Rows that need a newer release: this one plans, shows and leaves them, and harms nobody."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.store import outbox
from pulse_temporal.store.database import Database
from tests.harness import PATIENCE, PulseTest

TOMORROW = DIALECT + 1


@pytest.fixture
async def store(database: str) -> AsyncGenerator[Database]:
    """Yield the engine's own way to the test's database."""
    opened = Database(database, prefix="pulse_", timeout=PATIENCE)
    yield opened
    await opened.close()


async def lease(store: Database, pulse: PulseTest, subject: outbox.Subject) -> list[str]:
    """Take what waits, as a relay of this release does."""
    queue = pulse.engine.options.task_queue
    async with store.session() as session:
        taken = await outbox.lease(
            session, subject, task_queue=queue, length=timedelta(seconds=15), limit=10
        )
    return [command.subject_id for command in taken]


async def needs_tomorrow(connection: asyncpg.Connection, definition_id: str) -> None:
    await connection.execute(
        "UPDATE pulse_workflow_definitions SET dialect = $2 WHERE id = $1", definition_id, TOMORROW
    )


async def test_a_run_carries_the_dialect_of_its_definition_and_so_does_its_start(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    definition = await idle_pulse.define("order.paid")
    await needs_tomorrow(connection, definition.id)

    trigger = await idle_pulse.emit("order.paid")

    assert len(trigger.run_ids) == 1
    assert await connection.fetchval("SELECT dialect FROM pulse_workflow_runs") == TOMORROW
    assert await connection.fetchval("SELECT dialect FROM pulse_outbox") == TOMORROW


@pytest.mark.usefixtures("pulse")
async def test_a_worker_says_which_dialect_it_knows(connection: asyncpg.Connection) -> None:
    found = await connection.fetch("SELECT dialect FROM pulse_workers")

    assert [row["dialect"] for row in found] == [DIALECT]


async def test_a_start_of_a_newer_dialect_waits_and_others_go_on(
    pulse: PulseTest, store: Database, connection: asyncpg.Connection
) -> None:
    """Neither the emitter nor the relay takes it, and it is free for a newer release at once."""
    pay = pulse.action("pay")
    newer = await pulse.define("order.paid", "pay")
    await needs_tomorrow(connection, newer.id)
    known = await pulse.define("order.paid", "pay")

    first, second = (await pulse.emit("order.paid")).run_ids
    done = await pulse.engine.wait_for_run(second)
    taken = await lease(store, pulse, "runs")

    assert (done.definition_id, done.status, pay.call_count) == (known.id, "completed", 1)
    assert first not in taken
    waiting = await connection.fetch(
        "SELECT run_id, tries, leased_until = '-infinity' AS is_free FROM pulse_outbox"
        " WHERE run_id <> $1",
        second,
    )
    assert [tuple(row) for row in waiting] == [(first, 0, True)]
    run = await pulse.engine.get_run(first)
    assert run is not None
    assert (run.definition_id, run.status) == (newer.id, "pending")


async def test_a_schedule_of_a_newer_dialect_waits(
    pulse: PulseTest, store: Database, connection: asyncpg.Connection
) -> None:
    definition = await pulse.define("day.began")
    await needs_tomorrow(connection, definition.id)
    await connection.execute(
        "UPDATE pulse_workflow_definitions SET cron_expression = '@daily' WHERE id = $1",
        definition.id,
    )

    await pulse.engine.disable_workflow(definition.id)

    assert await lease(store, pulse, "schedules") == []
    assert await connection.fetchval("SELECT dialect FROM pulse_outbox") == TOMORROW


async def test_a_canceled_run_of_a_newer_dialect_needs_no_newer_release(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    definition = await pulse.define("order.paid")
    await needs_tomorrow(connection, definition.id)
    (run_id,) = (await pulse.emit("order.paid")).run_ids

    canceled = await pulse.engine.cancel_run(run_id)

    assert canceled.status == "canceled"
    found = await connection.fetch("SELECT kind, dialect FROM pulse_outbox ORDER BY id")
    assert [tuple(row) for row in found] == [("start", TOMORROW), ("cancel", DIALECT)]


async def test_a_retry_of_a_run_needs_its_dialect(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pulse.action("pay", fails=1)
    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")
    await connection.execute("UPDATE pulse_workflow_runs SET dialect = $1", TOMORROW)

    await pulse.engine.retry_run(run.id)

    found = await connection.fetchrow("SELECT kind, dialect FROM pulse_outbox")
    assert found is not None
    assert tuple(found) == ("start", TOMORROW)
