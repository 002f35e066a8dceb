"""Two databases on one task queue leave each other's runs alone, and say so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal import contract, create_engine
from pulse_temporal.embedded import EmbeddedServices
from tests.conftest import dsn_of, run_sql
from tests.harness import PulseTest, checked_invariants, eventually, make_pulse

LONG_ENOUGH = 60.0
"""Seconds in which a run must end; Temporal gives a task that fails again ever more rarely."""

RUNS = 10


@pytest.fixture
async def other_database(servers: EmbeddedServices) -> AsyncGenerator[str]:
    """Yield a database that was migrated for itself, not copied."""
    name = "pulse_other"
    await run_sql(servers.dsn, f'CREATE DATABASE "{name}"')
    dsn = dsn_of(servers.dsn, name)
    engine = create_engine(dsn, servers.temporal_address)
    await engine.migrate()
    await engine.stop()
    async with checked_invariants(dsn):
        yield dsn
    await run_sql(servers.dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def other(
    servers: EmbeddedServices, other_database: str, idle_pulse: PulseTest
) -> AsyncGenerator[PulseTest]:
    """Yield an engine of another database on the same queue; it is not started."""
    made = make_pulse(other_database, servers.temporal_address, like=idle_pulse)
    yield made
    await made.engine.stop()


async def test_a_database_has_an_id_of_its_own(
    connection: asyncpg.Connection, other_database: str
) -> None:
    theirs = await asyncpg.connect(other_database)
    ids = {await each.fetchval("SELECT id FROM pulse_database") for each in (connection, theirs)}
    await theirs.close()
    assert len(ids) == 2


async def test_runs_are_left_to_the_workers_of_their_database(
    idle_pulse: PulseTest,
    other: PulseTest,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The emitting process has no worker, so both workers are offered every task."""
    here = idle_pulse
    for pulse in (here, other):
        pulse.action("pay")
        await pulse.define("order.paid", "pay", {"type": "delay", "name": "wait", "delayMs": 1})
    front = make_pulse(here.dsn, here.temporal_address, like=here)
    front.signal("order.paid")
    await front.engine.start(worker=False)
    with caplog.at_level(logging.WARNING, logger="pulse_temporal"):
        await asyncio.gather(here.engine.start(), other.engine.start())
        emitted = [(await front.emit("order.paid")).run_ids[0] for _ in range(RUNS)]
        runs = [await here.engine.wait_for_run(run_id, timeout=LONG_ENOUGH) for run_id in emitted]
    await front.engine.stop()

    assert {(run.status, run.generation) for run in runs} == {("completed", 1)}
    assert "is shared with another database" in caplog.text
    assert here.engine.options.task_queue in caplog.text
    assert capfd.readouterr().out == "", "the SDK's own log would fill a pipe that nobody empties"


async def test_a_worker_of_another_database_alone_ends_nothing(
    idle_pulse: PulseTest, other: PulseTest, caplog: pytest.LogCaptureFixture
) -> None:
    here = idle_pulse
    here.action("pay")
    await here.define("order.paid", "pay")
    front = make_pulse(here.dsn, here.temporal_address, like=here)
    front.signal("order.paid")
    await front.engine.start(worker=False)
    await other.engine.start()

    (run_id,) = (await front.emit("order.paid")).run_ids

    async def is_told() -> bool:
        return run_id in caplog.text

    await eventually(is_told)
    await other.engine.stop()
    await here.engine.start()
    run = await here.engine.wait_for_run(run_id, timeout=LONG_ENOUGH)
    await front.engine.stop()
    assert (run.status, run.generation) == ("completed", 1)


async def test_ticks_are_left_to_the_workers_of_their_database(
    idle_pulse: PulseTest, other: PulseTest, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that does not find the definition would say that the tick was skipped."""
    here = idle_pulse
    here.action("pay")
    due = await here.define("order.due", "pay", cronExpression="0 0 1 1 *")
    client = await Client.connect(here.temporal_address)
    schedule = client.get_schedule_handle(
        contract.schedule_id(here.engine.options.queue_prefix, due.id)
    )

    async def is_scheduled() -> bool:
        with contextlib.suppress(RPCError):
            return bool(await schedule.describe())
        return False

    await here.engine.start()
    await eventually(is_scheduled)
    await here.engine.stop()
    await other.engine.start()
    await schedule.trigger()

    async def is_told() -> bool:
        return f"a cron tick of definition {due.id}" in caplog.text

    await eventually(is_told)
    await other.engine.stop()
    await here.engine.start()

    async def has_run() -> bool:
        return len((await here.engine.list_runs()).items) == 1

    await eventually(has_run, within=timedelta(seconds=LONG_ENOUGH))


async def test_the_doctor_and_the_start_warn_of_workers_of_another_database(
    pulse: PulseTest, other: PulseTest, caplog: pytest.LogCaptureFixture
) -> None:
    pulse.action("pay")
    await pulse.define("order.paid", "pay")
    await pulse.emit_and_wait("order.paid")

    await other.engine.start()

    assert "is also polled by workers of another database" in caplog.text
    report = await other.engine.check_health(compare=False)
    check = report.check("sharing")
    assert check is not None
    assert check.status == "warning"
    assert "1 worker of database dbs_" in check.summary


async def test_another_queue_of_the_database_that_stands_still_is_told(
    servers: EmbeddedServices, pulse: PulseTest
) -> None:
    elsewhere = make_pulse(pulse.dsn, servers.temporal_address)
    elsewhere.action("pay")
    await elsewhere.define("order.paid", "pay")
    await elsewhere.emit("order.paid")
    await elsewhere.engine.stop()

    report = await pulse.engine.check_health(compare=False)

    check = report.check("other_queues")
    assert check is not None
    assert check.status == "warning"
    assert elsewhere.engine.options.task_queue in check.summary
    assert "1 open run, 1 command" in check.summary
