"""When the reconciler waits for a person, and what it tells of what it could not do."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import (
    WorkflowExecutionStatus,
)

from pulse_temporal import contract
from pulse_temporal.services.care.comparison import ComparisonPace
from pulse_temporal.testing import delay
from tests.faults.reconciling import HOUR, begun, emitted, forget_commands, found, reconciler_of
from tests.harness import PulseTest, eventually
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults


async def test_another_namespace_is_not_accepted_while_a_run_is_missing_in_it(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    """Not even by a turn that leaves young runs out: it looks at all of them then."""
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await pulse.engine.reconcile()
    await operator.delete(run_id)
    await connection.execute(
        "UPDATE pulse_reconcilers SET namespace_id = 'another', due_at = now()"
    )
    reconciler = reconciler_of(pulse, ComparisonPace(page=2, settled_for=timedelta()))
    report = await reconciler.turn(operator.client)
    assert report is not None
    assert "namespace is another one" in (report.halted or "")
    assert await connection.fetchval("SELECT namespace_id FROM pulse_reconcilers") == "another"
    report = await pulse.engine.reconcile(confirm=True)
    assert found(report) == [(run_id, "not_found", "restart")]
    gate.open()
    await pulse.wait_for_status(run_id, "completed")


async def test_many_runs_that_are_lost_before_their_first_step_are_not_started_unasked(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """A backlog: Temporal has taken them, no worker has; their commands are done and deleted."""
    act = pulse.action("act")
    await pulse.define("found.wanting", "act")
    await pulse.engine.stop()
    runs = [await emitted(pulse) for _ in range(ComparisonPace().mass_loss)]
    await forget_commands(pulse)

    report = await pulse.engine.reconcile()
    assert f"{len(runs)} of {len(runs)} open runs are not in Temporal" in (report.halted or "")
    assert found(report) == [(run_id, "never_started", "start") for run_id in runs]
    assert await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    assert (await pulse.engine.reconcile(confirm=True)).applied
    await pulse.engine.start()
    for run_id in runs:
        await pulse.wait_for_status(run_id, "completed")
    assert act.call_count == len(runs)


async def test_a_repair_that_fails_is_told_and_comes_again(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.terminate(run_id)
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM pulse_run_control FOR UPDATE")
        report = await pulse.engine.reconcile()
    assert report.repairs == ()
    assert report.differences == 1
    assert [problem.split(":")[0] for problem in report.problems] == [f"{run_id} was not repaired"]
    assert found(await pulse.engine.reconcile()) == [(run_id, "terminated", "fail")]
    gate.open()


async def test_turns_look_at_all_open_workflows_one_page_after_the_other(
    pulse: PulseTest, operator: Operator
) -> None:
    """The oldest workflow, whose cancel was lost, is not hidden by newer ones."""
    await pulse.define("found.wanting", delay("pause", HOUR))
    runs = [await emitted(pulse) for _ in range(5)]
    for run_id in runs:
        await pulse.wait_for_status(run_id, "waiting")
        await begun(pulse, run_id)
    await pulse.engine.stop()
    await pulse.engine.cancel_run(runs[0])
    await forget_commands(pulse)
    connection = await asyncpg.connect(pulse.dsn)
    await connection.execute(
        "UPDATE pulse_workflow_runs SET updated_at = now() - interval '1 hour'"
    )
    reconciler = reconciler_of(pulse, ComparisonPace(page=2, settled_for=timedelta()))

    async def seen() -> bool:
        await connection.execute("UPDATE pulse_reconcilers SET due_at = now()")
        report = await reconciler.turn(operator.client)
        return report is not None and found(report) == [(runs[0], "still_open", "end_workflow")]

    await eventually(seen)
    await connection.close()
    await pulse.engine.start()
    assert await operator.ended(runs[0]) == WorkflowExecutionStatus.CANCELED
    for run_id in runs[1:]:
        await pulse.engine.cancel_run(run_id)


async def test_a_workflow_id_that_somebody_made_up_is_only_reported(
    pulse: PulseTest, operator: Operator
) -> None:
    queue = pulse.engine.options.task_queue
    await pulse.engine.stop()
    names = [f"run_{'0' * 32}:²", f"{queue}\0x"]
    strangers = [
        await operator.client.start_workflow(contract.RUN_WORKFLOW, id=name, task_queue=queue)
        for name in names
    ]

    async def reported() -> bool:
        report = await pulse.engine.reconcile()
        return set(report.unknown_workflows) == {name.replace("\0", "\ufffd") for name in names}

    await eventually(reported)
    for stranger in strangers:
        await stranger.terminate()


async def test_a_retry_gives_a_run_its_restarts_back(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    flaky, gate = pulse.action("flaky", fails=1), pulse.gate("gate")
    await pulse.define("found.wanting", "flaky", "gate")
    run_id = await emitted(pulse)
    await pulse.engine.wait_for_run(run_id)
    await connection.execute(
        """INSERT INTO pulse_execution_logs (id, run_id, tenant_id, level, message, data)
        SELECT 'log_' || n, $1, 'tenant-a', 'warn', 'restarted',
            '{"source": "reconciler", "repair": "restart"}'
        FROM generate_series(1, 5) AS n""",
        run_id,
    )
    await pulse.engine.retry_run(run_id)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.delete(contract.workflow_id(run_id, 2))
    assert found(await pulse.engine.reconcile()) == [(run_id, "not_found", "restart")]
    gate.open()
    await pulse.wait_for_status(run_id, "completed")
    assert flaky.call_count == 2
