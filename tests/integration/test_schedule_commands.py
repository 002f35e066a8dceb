"""Commands about schedules: one at a time, none lost, none against a schedule that is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import WorkflowDefinition, contract
from pulse_temporal.failpoints import Armed, arm
from pulse_temporal.services.definitions.schedules import AT_ONCE
from pulse_temporal.store import outbox
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import OutboxCommand
from tests.harness import PATIENCE, PulseTest, eventually, make_pulse

FAR = "0 0 29 2 *"
FOREVER = 3_600.0
QUEUE = "some-queue"
LEASE = timedelta(seconds=15)


@pytest.fixture
async def store(database: str) -> AsyncGenerator[Database]:
    """Yield the engine's own way to the test's database."""
    opened = Database(database, prefix="pulse_", timeout=PATIENCE)
    yield opened
    await opened.close()


@pytest.fixture
def failpoints() -> Generator[None]:
    """Disarm all failpoints afterwards."""
    yield
    arm({})


async def commands(connection: asyncpg.Connection) -> int:
    """Count the commands about schedules."""
    return await connection.fetchval("SELECT count(*) FROM pulse_outbox WHERE kind = 'schedule'")


async def kept(connection: asyncpg.Connection, definition: WorkflowDefinition) -> str | None:
    """Return the queue that keeps a definition's schedule, as others see it."""
    return await connection.fetchval(
        "SELECT schedule_queue FROM pulse_workflow_definitions WHERE id = $1", definition.id
    )


async def has_schedule(pulse: PulseTest, definition_id: str) -> bool:
    """Return whether a schedule of this id is in Temporal."""
    client = await Client.connect(pulse.temporal_address)
    prefix = pulse.engine.options.queue_prefix
    try:
        await client.get_schedule_handle(contract.schedule_id(prefix, definition_id)).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def ask(store: Database, definition_id: str, *, tenant_id: str, queue: str) -> None:
    """Write a command, as a comparison does that has found a schedule without its row."""
    async with store.session() as session:
        await outbox.put_schedule(
            session, tenant_id=tenant_id, definition_id=definition_id, task_queue=queue
        )


async def lease(store: Database, subject: outbox.Subject = "schedules") -> list[OutboxCommand]:
    """Take what waits, as a relay does."""
    async with store.session() as session:
        return await outbox.lease(session, subject, task_queue=QUEUE, length=LEASE, limit=10)


@pytest.mark.usefixtures("failpoints")
async def test_who_keeps_a_schedule_is_known_before_temporal_has_it(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """And the row is not locked meanwhile: the definition can be changed."""
    arm({"schedule.after_sync": Armed("sleep", FOREVER)})
    pulse.action("act")
    definition = await pulse.define("clean.up", "act", cronExpression=FAR)

    await eventually(lambda: has_schedule(pulse, definition.id))

    assert await kept(connection, definition) == pulse.engine.options.queue_prefix
    await pulse.engine.update_workflow(definition.id, {"name": "Renamed"})


async def test_a_schedule_that_only_seems_left_over_stays(
    pulse: PulseTest, store: Database, connection: asyncpg.Connection
) -> None:
    pulse.action("act")
    definition = await pulse.define("clean.up", "act", cronExpression=FAR)
    await eventually(lambda: has_schedule(pulse, definition.id))
    queue = pulse.engine.options.queue_prefix

    await ask(store, definition.id, tenant_id="", queue=queue)
    await eventually(lambda: _is_quiet(connection))

    assert await has_schedule(pulse, definition.id)


async def test_a_schedule_of_another_database_is_left_alone(
    pulse: PulseTest, store: Database, connection: asyncpg.Connection
) -> None:
    client = await Client.connect(pulse.temporal_address)
    queue = pulse.engine.options.queue_prefix
    await client.create_schedule(
        contract.schedule_id(queue, "wfd_neighbour"),
        Schedule(
            action=ScheduleActionStartWorkflow("Any", id="any", task_queue="nowhere"),
            spec=ScheduleSpec(cron_expressions=[FAR]),
        ),
    )

    await ask(store, "wfd_neighbour", tenant_id="", queue=queue)
    await eventually(lambda: _is_quiet(connection))

    assert await has_schedule(pulse, "wfd_neighbour")
    await client.get_schedule_handle(contract.schedule_id(queue, "wfd_neighbour")).delete()


async def test_a_left_over_schedule_of_a_definition_that_others_keep_is_deleted(
    pulse: PulseTest, store: Database, connection: asyncpg.Connection
) -> None:
    pulse.action("act")
    definition = await pulse.define("clean.up", "act", cronExpression=FAR)
    await eventually(lambda: has_schedule(pulse, definition.id))
    await eventually(lambda: _is_quiet(connection))
    await connection.execute("UPDATE pulse_workflow_definitions SET schedule_queue = 'others'")

    await ask(store, definition.id, tenant_id="", queue=pulse.engine.options.queue_prefix)
    await eventually(lambda: _is_quiet(connection))

    assert not await has_schedule(pulse, definition.id)
    assert await kept(connection, definition) == "others"


async def test_comparisons_without_a_worker_leave_one_command(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pulse.action("act")
    definition = await pulse.define("clean.up", "act", cronExpression=FAR)
    await eventually(lambda: _is_quiet(connection))
    await pulse.engine.stop()
    await connection.execute("UPDATE pulse_workflow_definitions SET is_enabled = false")
    observer = make_pulse(pulse.dsn, pulse.temporal_address, like=pulse)

    async def is_listed() -> bool:
        report = await observer.engine.reconcile(dry_run=True)
        return [repair.subject_id for repair in report.repairs] == [definition.id]

    await eventually(is_listed)
    for _ in range(4):
        await observer.engine.reconcile()

    assert await commands(connection) == 1
    await observer.engine.stop()


async def test_a_waiting_command_is_not_taken_before_the_change_that_counts_on_it(
    store: Database,
) -> None:
    await ask(store, "wfd_1", tenant_id="a", queue=QUEUE)

    async with store.transaction() as session:
        await outbox.put_schedule(session, tenant_id="a", definition_id="wfd_1", task_queue=QUEUE)
        assert await lease(store) == []
    assert [command.subject_id for command in await lease(store)] == ["wfd_1"]


async def test_a_change_does_not_count_on_a_command_that_was_taken(
    store: Database, connection: asyncpg.Connection
) -> None:
    """Who has it may have read the row as it was, also when the lease is over since."""
    await ask(store, "wfd_1", tenant_id="a", queue=QUEUE)
    await lease(store)
    await connection.execute("UPDATE pulse_outbox SET leased_until = '-infinity'")

    await ask(store, "wfd_1", tenant_id="a", queue=QUEUE)

    assert await commands(connection) == 2
    await connection.execute("DELETE FROM pulse_outbox")


@pytest.mark.usefixtures("failpoints")
async def test_runs_start_while_schedules_are_slow(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """All schedule commands that are executed hang; a start that the relay makes does not."""
    act = pulse.action("act", fails=1)
    await pulse.define("order.paid", "act")
    run = await pulse.emit_and_wait("order.paid")
    arm({"schedule.before_sync": Armed("sleep", FOREVER)})
    await asyncio.gather(
        *(pulse.define("clean.up", "act", cronExpression=FAR) for _ in range(2 * AT_ONCE))
    )
    await eventually(lambda: _are_under_way(connection))

    await pulse.engine.retry_run(run.id)

    assert (await pulse.engine.wait_for_run(run.id, timeout=10)).status == "completed"
    assert act.call_count == 2


async def _are_under_way(connection: asyncpg.Connection) -> bool:
    return await connection.fetchval("SELECT bool_or(tries > 0) FROM pulse_outbox") is True


async def _is_quiet(connection: asyncpg.Connection) -> bool:
    return await commands(connection) == 0
