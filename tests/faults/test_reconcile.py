"""What is done in Temporal behind a run's back: the reconciler finds it and the mirror follows."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import (
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import ReconcileReport, TemporalUnavailableError, WorkflowContext, contract
from pulse_temporal.embedded import EmbeddedServices, embedded_temporal
from pulse_temporal.embedded.ports import free_ports
from pulse_temporal.testing import Gate, delay, parallel
from tests.faults.reconciling import HOUR, begun, emitted, forget_commands, found, repairs_told
from tests.harness import PulseTest, eventually, make_pulse
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults


async def terminated(pulse: PulseTest, operator: Operator) -> tuple[Gate, str]:
    """Terminate a run's workflow in the middle of its step; return the gate in it, and the id."""
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.terminate(run_id)
    return gate, run_id


async def test_nothing_differs_and_nothing_is_done(pulse: PulseTest) -> None:
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    report = await pulse.engine.reconcile()
    assert (report.checked, report.repairs, report.halted) == (1, (), None)
    gate.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"


async def test_a_terminated_run_fails_and_can_be_retried(
    pulse: PulseTest, operator: Operator
) -> None:
    first, gate = pulse.action("first"), pulse.gate("gate", returns={"n": 1})
    pulse.action("after")
    await pulse.define("found.wanting", "first", "gate", "after")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.terminate(run_id, reason="wrong customer")
    report = await pulse.engine.reconcile()
    assert found(report) == [(run_id, "terminated", "fail")]
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert run.status == "failed"
    assert "wrong customer" in (run.error_message or "")
    assert await pulse.statuses(run_id) == {"0": "completed", "1": "failed", "2": "pending"}
    assert await repairs_told(pulse, run_id) == ["fail"]
    gate.open()
    assert (await pulse.engine.reconcile()).repairs == ()
    await pulse.engine.retry_run(run_id)
    await pulse.wait_for_status(run_id, "completed")
    assert first.call_count == 1


async def test_a_handler_that_outlives_its_terminated_run_changes_nothing(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    """Neither its record nor its transaction, which is not committed."""
    await connection.execute("CREATE TABLE effects (run_id text)")
    reached, opened, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @pulse.engine.action("charge", transactional=True)
    async def charge(ctx: WorkflowContext) -> None:
        await ctx.connection.execute("INSERT INTO effects VALUES ($1)", ctx.run.id)
        reached.set()
        try:
            await opened.wait()
        finally:
            finished.set()

    assert charge
    await pulse.define("found.wanting", "charge")
    run_id = await emitted(pulse)
    await reached.wait()
    await begun(pulse, run_id)
    await operator.terminate(run_id)
    await pulse.engine.reconcile()
    opened.set()
    await finished.wait()
    await pulse.engine.stop()
    assert await connection.fetchval("SELECT count(*) FROM effects") == 0
    assert await pulse.statuses(run_id) == {"0": "failed"}


async def test_a_reset_of_a_terminated_run_lets_it_go_on(
    pulse: PulseTest, operator: Operator
) -> None:
    gate, run_id = await terminated(pulse, operator)
    await pulse.engine.reconcile()
    gate.open()
    await operator.reset(run_id, to=0)
    await pulse.wait_for_status(run_id, "completed")


async def test_a_run_that_timed_out_in_temporal_fails(
    idle_pulse: PulseTest, operator: Operator
) -> None:
    """Nobody works, and the workflow was started with a bound."""
    idle_pulse.action("act")
    await idle_pulse.define("found.wanting", "act")
    run_id = await emitted(idle_pulse)
    await operator.client.start_workflow(
        contract.RUN_WORKFLOW,
        id=run_id,
        task_queue=idle_pulse.engine.options.task_queue,
        run_timeout=timedelta(seconds=1),
    )
    assert await operator.ended(run_id) == WorkflowExecutionStatus.TIMED_OUT
    assert (await idle_pulse.engine.reconcile()).repairs == ()  # its start is on its way
    await forget_commands(idle_pulse)
    report = await idle_pulse.engine.reconcile()
    assert found(report) == [(run_id, "timed_out", "fail")]
    run = await idle_pulse.engine.get_run(run_id)
    assert run is not None
    assert run.status == "failed"
    assert "timed out" in (run.error_message or "")


async def test_a_run_that_was_deleted_in_temporal_goes_on_from_what_is_on_record(
    pulse: PulseTest, operator: Operator
) -> None:
    first, last = pulse.action("first", returns={"n": 1}), pulse.action("last")
    left, right = pulse.gate("left"), pulse.action("right", returns={"n": 2})
    await pulse.define("found.wanting", "first", parallel("both", ["left"], ["right"]), "last")
    run_id = await emitted(pulse)
    await left.reached()
    await pulse.wait_for_step(run_id, "1/b1/0", "completed")
    await begun(pulse, run_id)
    await operator.delete(run_id)
    report = await pulse.engine.reconcile()
    assert found(report) == [(run_id, "not_found", "restart")]
    left.open()
    await pulse.wait_for_status(run_id, "completed")
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert run.generation == 2
    assert run.context == {"first": {"n": 1}, "right": {"n": 2}}
    assert (first.call_count, right.call_count, last.call_count) == (1, 1, 1)
    assert await repairs_told(pulse, run_id) == ["restart"]


async def test_a_start_that_comes_again_after_its_workflow_was_purged_does_nothing(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    """Temporal takes the id a second time then; Postgres knows who spoke first."""
    first, gate = pulse.action("first"), pulse.gate("gate")
    await pulse.define("found.wanting", "first", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.delete(run_id)
    await connection.execute(
        """INSERT INTO pulse_outbox (kind, tenant_id, run_id, task_queue)
        SELECT 'start', tenant_id, run_id, task_queue FROM pulse_run_control"""
    )
    await begun(pulse, run_id)
    assert await operator.ended(run_id) == WorkflowExecutionStatus.COMPLETED
    assert (first.call_count, len(gate.calls)) == (1, 1)
    report = await pulse.engine.reconcile()
    assert found(report) == [(run_id, "completed", "restart")]
    gate.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert first.call_count == 1


async def test_a_run_that_is_lost_again_and_again_fails_in_the_end(
    pulse: PulseTest, operator: Operator
) -> None:
    await pulse.define("found.wanting", delay("pause", HOUR))
    run_id = await emitted(pulse)
    for generation in range(1, 7):
        await pulse.wait_for_status(run_id, "waiting")
        await begun(pulse, run_id)
        await operator.delete(contract.workflow_id(run_id, generation))
        await pulse.engine.reconcile()
    run = await pulse.engine.wait_for_run(run_id)
    assert (run.status, run.generation) == ("failed", 6)
    assert await repairs_told(pulse, run_id) == [*["restart"] * 5, "fail"]


async def test_a_restarted_delay_waits_its_rest(pulse: PulseTest, operator: Operator) -> None:
    await pulse.define("found.wanting", delay("pause", HOUR))
    run_id = await emitted(pulse)
    before = await pulse.wait_for_step(run_id, "0", "scheduled")
    await begun(pulse, run_id)
    await operator.delete(run_id)
    await pulse.engine.reconcile()
    await pulse.wait_for_status(run_id, "waiting")
    after = (await pulse.steps(run_id))["0"]
    assert after.scheduled_for == before.scheduled_for
    await pulse.engine.cancel_run(run_id)


async def test_a_run_whose_start_was_lost_starts(pulse: PulseTest) -> None:
    pulse.action("act")
    await pulse.define("found.wanting", "act")
    await pulse.engine.stop()
    run_id = await emitted(pulse)
    await forget_commands(pulse)
    await pulse.engine.start()
    report = await pulse.engine.reconcile()
    assert found(report) == [(run_id, "never_started", "start")]
    run = await pulse.engine.wait_for_run(run_id)
    assert (run.status, run.generation) == ("completed", 1)


async def test_a_cancel_that_never_reached_temporal_is_told_again(
    pulse: PulseTest, operator: Operator
) -> None:
    await pulse.define("found.wanting", delay("pause", HOUR))
    run_id = await emitted(pulse)
    await pulse.wait_for_status(run_id, "waiting")
    await begun(pulse, run_id)
    await pulse.engine.stop()
    await pulse.engine.cancel_run(run_id)
    await forget_commands(pulse)
    await pulse.engine.start()

    async def reported() -> bool:  # lists in Temporal are a moment old
        report = await pulse.engine.reconcile()
        return found(report) == [(run_id, "still_open", "end_workflow")]

    await eventually(reported)
    assert await operator.ended(run_id) == WorkflowExecutionStatus.CANCELED


async def test_a_cancel_in_temporal_needs_no_repair(pulse: PulseTest, operator: Operator) -> None:
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.client.get_workflow_handle(run_id).cancel()
    await pulse.wait_for_status(run_id, "canceled")
    gate.open()
    assert (await pulse.engine.reconcile()).repairs == ()


async def test_schedules_are_made_equal_to_their_definitions(
    pulse: PulseTest, operator: Operator
) -> None:
    pulse.action("act")
    names = ("deleted", "paused", "left")
    owners = [
        await pulse.define("found.wanting", "act", cronExpression="0 3 * * *", name=name)
        for name in names
    ]
    prefix = pulse.engine.options.queue_prefix
    handles = [
        operator.client.get_schedule_handle(contract.schedule_id(prefix, owner.id))
        for owner in owners
    ]
    for handle in handles:
        await eventually(lambda h=handle: exists(h.describe))
    await handles[0].delete()
    await handles[1].update(paused_by_hand)
    report = ReconcileReport.model_validate({"at": "2026-01-01T00:00:00Z"})

    async def reported() -> bool:
        nonlocal report
        report = await pulse.engine.reconcile(dry_run=True)
        return {repair.subject_id for repair in report.repairs} == {owners[0].id, owners[1].id}

    await eventually(reported)
    assert not report.applied
    await pulse.engine.reconcile()

    async def repaired() -> bool:
        if not await exists(handles[0].describe):
            return False
        return not (await handles[1].describe()).schedule.state.paused

    await eventually(repaired)


def paused_by_hand(found: ScheduleUpdateInput) -> ScheduleUpdate:
    """Pause a schedule as an operator does."""
    schedule = found.description.schedule
    schedule.state = ScheduleState(note=schedule.state.note, paused=True)
    return ScheduleUpdate(schedule)


async def exists(describe: Callable[[], Awaitable[object]]) -> bool:
    """Return whether Temporal knows what is asked for."""
    try:
        await describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def test_a_worker_reconciles_by_itself(
    servers: EmbeddedServices, database: str, operator: Operator
) -> None:
    often = timedelta(milliseconds=100)
    pulse = make_pulse(database, servers.temporal_address, reconcile_interval=often)
    gate = pulse.gate("gate")
    async with pulse.engine:
        await pulse.define("found.wanting", "gate")
        run_id = await emitted(pulse)
        await gate.reached()
        await begun(pulse, run_id)
        await operator.terminate(run_id)
        connection = await asyncpg.connect(database)
        await connection.execute(
            "UPDATE pulse_workflow_runs SET updated_at = now() - interval '1 hour'"
        )
        await connection.close()
        await pulse.wait_for_status(run_id, "failed")
        gate.open()


async def test_a_dry_run_only_says_what_would_be_done(
    pulse: PulseTest, operator: Operator
) -> None:
    gate, run_id = await terminated(pulse, operator)
    report = await pulse.engine.reconcile(dry_run=True)
    assert found(report) == [(run_id, "terminated", "fail")]
    assert not report.applied
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert run.status == "running"
    await pulse.engine.reconcile()
    gate.open()


async def test_workflows_without_a_run_are_reported_and_left_alone(
    pulse: PulseTest, operator: Operator
) -> None:
    queue = pulse.engine.options.task_queue
    await pulse.engine.stop()
    stranger = await operator.client.start_workflow(
        contract.RUN_WORKFLOW, id=f"stranger-{queue}", task_queue=queue
    )

    async def reported() -> bool:
        return (await pulse.engine.reconcile()).unknown_workflows == (stranger.id,)

    await eventually(reported)
    assert (await stranger.describe()).status == WorkflowExecutionStatus.RUNNING
    await stranger.terminate()


async def test_temporal_that_is_away_is_said_so(database: str) -> None:
    pulse = make_pulse(database, f"127.0.0.1:{free_ports([0])[0]}")
    with pytest.raises(TemporalUnavailableError):
        await pulse.engine.reconcile()
    await pulse.engine.stop()


@asynccontextmanager
async def own_temporal(port: int) -> AsyncGenerator[str]:
    """Run a Temporal that forgets everything when it ends."""
    with tempfile.TemporaryDirectory(prefix="pulse-", ignore_cleanup_errors=True) as folder:
        async with embedded_temporal(folder, port=port, ui=False) as server:
            yield server.address


async def test_a_wiped_temporal_waits_for_a_person_and_then_loses_nothing(
    database: str,
) -> None:
    port = free_ports([0])[0]
    address = f"127.0.0.1:{port}"
    pulse = make_pulse(database, address, shutdown_grace=timedelta(seconds=1))
    first, last = pulse.action("first"), pulse.action("last")
    gate = pulse.gate("gate")
    async with own_temporal(port), pulse.engine:
        await pulse.define("found.wanting", "first", "gate", "last")
        runs = [await emitted(pulse) for _ in range(3)]
        for run_id in runs:
            await pulse.wait_for_step(run_id, "1", "running")
            await begun(pulse, run_id)
        assert (await pulse.engine.reconcile()).repairs == ()
        await pulse.engine.stop()
    async with own_temporal(port), pulse.engine:
        report = await pulse.engine.reconcile()
        assert (report.halted is not None, report.applied) == (True, False)
        assert len(report.repairs) == len(runs)
        assert {run.status for run in (await pulse.engine.list_runs()).items} == {"running"}
        assert (await pulse.engine.reconcile()).halted is not None
        report = await pulse.engine.reconcile(confirm=True)
        assert len(report.repairs) == len(runs)
        gate.open()
        for run_id in runs:
            assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
        assert (first.call_count, last.call_count) == (len(runs), len(runs))
        assert (await pulse.engine.reconcile()).halted is None
