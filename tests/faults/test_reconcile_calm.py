"""What looks like a difference for a moment is none: the reconciler leaves it alone."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from pulse_temporal.services.care.comparison import Comparison, ComparisonScope
from pulse_temporal.store.database import Database
from pulse_temporal.store.reconcile import OpenRun
from pulse_temporal.temporal.executions import open_workflows
from pulse_temporal.testing import delay
from tests.harness import TENANT, PulseTest, eventually
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults

HOUR = 3_600_000


async def emitted(pulse: PulseTest) -> str:
    """Emit the signal of the test's one definition; give the run's id."""
    (run_id,) = (await pulse.emit("calm.kept")).run_ids
    return run_id


async def begun(connection: asyncpg.Connection, run_id: str) -> None:
    """Wait until no command about a run is left in the outbox."""

    async def look() -> bool:
        count = "SELECT count(*) FROM pulse_outbox WHERE run_id = $1"
        return await connection.fetchval(count, run_id) == 0

    await eventually(look)


async def age(connection: asyncpg.Connection, interval: str) -> None:
    """Let all runs have changed so long ago, or after now."""
    await connection.execute(
        "UPDATE pulse_workflow_runs SET updated_at = now() - $1::text::interval", interval
    )


async def listed(pulse: PulseTest, operator: Operator, run_id: str) -> None:
    """Wait until Temporal's list shows a run's workflow as open."""
    queue = pulse.engine.options.task_queue

    async def look() -> bool:
        names, _ = await open_workflows(operator.client, task_queue=queue, before=None, limit=100)
        return run_id in names

    await eventually(look)


async def canceled_without_a_worker(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> str:
    """Cancel a waiting run when no worker is there that could end its workflow; return its id."""
    await pulse.define("calm.kept", delay("pause", HOUR))
    run_id = await emitted(pulse)
    await pulse.wait_for_status(run_id, "waiting")
    await begun(connection, run_id)
    await listed(pulse, operator, run_id)
    await pulse.engine.stop()
    await pulse.engine.cancel_run(run_id)
    return run_id


async def test_a_workflow_that_was_told_to_end_is_not_told_again(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    """It is open because no worker has had the time to end it; each turn would tell it again."""
    run_id = await canceled_without_a_worker(pulse, operator, connection)
    await connection.execute("DELETE FROM pulse_outbox")
    await age(connection, "1 hour")
    await operator.client.get_workflow_handle(run_id).cancel()
    assert (await pulse.engine.reconcile()).repairs == ()
    assert await operator.status(run_id) == WorkflowExecutionStatus.RUNNING
    assert not await pulse.engine.get_run_logs(run_id)
    await pulse.engine.start()
    assert await operator.ended(run_id) == WorkflowExecutionStatus.CANCELED


async def test_a_run_that_has_just_ended_may_have_an_open_workflow(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    run_id = await canceled_without_a_worker(pulse, operator, connection)
    await age(connection, "1 hour")
    assert (await pulse.engine.reconcile()).repairs == ()  # the cancel is on its way
    await connection.execute("DELETE FROM pulse_outbox")
    await age(connection, "-1 hour")
    assert (await pulse.engine.reconcile()).repairs == ()  # it may reach Temporal any moment
    await age(connection, "1 hour")
    (repair,) = (await pulse.engine.reconcile()).repairs
    assert (repair.found, repair.remedy) == ("still_open", "end_workflow")
    await pulse.engine.start()
    await operator.ended(run_id)


async def test_a_run_that_ends_while_temporal_is_asked_is_no_difference(
    pulse: PulseTest, operator: Operator
) -> None:
    """What was read before is old by the time Temporal answers; a dry run must not report it."""
    pulse.action("act")
    await pulse.define("calm.kept", "act")
    run = await pulse.emit_and_wait("calm.kept")
    await operator.ended(run.id)
    stale = OpenRun(run.id, TENANT, generation=1, has_begun=True)
    database = Database(pulse.dsn, prefix="pulse_", timeout=timedelta(seconds=10))
    comparison = Comparison(database, pulse.engine.options, operator.client, ComparisonScope())
    await comparison.compare_runs([stale])
    await database.close()
    assert (comparison.found.checked, comparison.found.repairs) == (1, [])
