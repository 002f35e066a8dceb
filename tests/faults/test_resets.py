"""An operator resets workflows in Temporal: what is on record stays, the rest goes on once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from pulse_temporal import contract
from pulse_temporal.activities.mirror import MirrorActivities
from pulse_temporal.contract import ExecutionRef, Refusal, Scope
from pulse_temporal.failpoints import arm, parse
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.mirror import Mirror
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store.database import Database
from pulse_temporal.testing import action, parallel
from tests.harness import TENANT, PulseTest, eventually
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults


async def emitted(pulse: PulseTest) -> str:
    """Emit the signal of the test's one definition; give the run's id."""
    (run_id,) = (await pulse.emit("reset.met")).run_ids
    return run_id


async def warnings(pulse: PulseTest, run_id: str) -> list[str]:
    """Return what the engine itself has warned of in a run's log."""
    return [log.message for log in await pulse.engine.get_run_logs(run_id) if log.level == "warn"]


async def test_a_running_run_goes_on_without_repeating_what_is_on_record(
    pulse: PulseTest, operator: Operator
) -> None:
    first, last = pulse.action("first", returns={"n": 1}), pulse.action("last")
    gate = pulse.gate("gate", returns={"n": 2})
    await pulse.define("reset.met", "first", "gate", "last")
    run_id = await emitted(pulse)
    await gate.reached()
    await operator.reset(run_id, to=0)
    await eventually(lambda: called_again(gate.calls))
    gate.open()
    run = await pulse.engine.wait_for_run(run_id)
    assert (run.status, run.generation) == ("completed", 1)
    assert (first.call_count, last.call_count) == (1, 1)
    assert run.context == {"first": {"n": 1}, "gate": {"n": 2}}
    keys = {context.idempotency_key for context in gate.calls}
    assert len(keys) == 1


async def called_again(contexts: Sequence[object]) -> bool:
    """Return whether a handler has been called a second time."""
    return len(contexts) > 1


async def test_writes_of_the_execution_before_a_reset_are_refused(
    pulse: PulseTest, operator: Operator
) -> None:
    """The handler of the old execution finishes last, and its result is not the one kept."""
    gate = pulse.gate("gate", returns={"who": "both"})
    after = pulse.gate("after")
    await pulse.define("reset.met", "gate", "after")
    run_id = await emitted(pulse)
    await gate.reached()
    new = await operator.reset(run_id, to=0)
    await eventually(lambda: called_again(gate.calls))
    gate.open()
    await after.reached()
    assert (await pulse.steps(run_id))["0"].attempt == 1
    after.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert await operator.ended(run_id, new) == WorkflowExecutionStatus.COMPLETED
    assert (await pulse.timeline(run_id)).count("step_completed gate") == 1


async def test_open_branches_are_ended_and_started_again(
    pulse: PulseTest, operator: Operator
) -> None:
    left, right = pulse.gate("left", returns={"n": 1}), pulse.gate("right", returns={"n": 2})
    done = pulse.action("done")
    inner = parallel("inner", ["right"], ["done"])
    await pulse.define("reset.met", parallel("both", ["left"], [inner]))
    run_id = await emitted(pulse)
    await left.reached()
    await right.reached()
    await pulse.wait_for_step(run_id, "0/b1/0/b1/0", "completed")
    await operator.reset(run_id, to=0)
    await eventually(lambda: called_again(left.calls))
    await eventually(lambda: called_again(right.calls))
    left.open()
    right.open()
    run = await pulse.engine.wait_for_run(run_id)
    assert run.status == "completed"
    assert done.call_count == 1
    assert run.context == {"left": {"n": 1}, "right": {"n": 2}}


async def test_branches_that_were_started_before_the_reset_point_are_kept(
    pulse: PulseTest, operator: Operator
) -> None:
    left, right = pulse.gate("left"), pulse.gate("right")
    await pulse.define("reset.met", parallel("both", ["left"], ["right"]))
    run_id = await emitted(pulse)
    await left.reached()
    await right.reached()
    await operator.reset(run_id, to=-1)
    left.open()
    right.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert (len(left.calls), len(right.calls)) == (1, 1)


async def test_a_reset_of_a_failed_run_is_a_retry_within_its_generation(
    pulse: PulseTest, operator: Operator
) -> None:
    good, flaky = pulse.action("good"), pulse.action("flaky", fails=1)
    pulse.action("good_too")
    await pulse.define("reset.met", "good", "flaky", "good_too")
    run_id = await emitted(pulse)
    assert (await pulse.engine.wait_for_run(run_id)).status == "failed"
    new = await operator.reset(run_id, to=0)
    assert await operator.ended(run_id, new) == WorkflowExecutionStatus.COMPLETED
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert (run.status, run.generation, run.error_message) == ("completed", 1, None)
    assert (good.call_count, flaky.call_count) == (1, 2)
    assert any("reset in Temporal" in message for message in await warnings(pulse, run_id))
    assert (await pulse.timeline(run_id)).count("run_failed") == 1


async def test_a_reset_of_a_failed_block_starts_its_failed_branch_over(
    pulse: PulseTest, operator: Operator
) -> None:
    good, flaky = pulse.action("good"), pulse.action("flaky", fails=1)
    pulse.action("last")
    await pulse.define("reset.met", parallel("both", ["good"], ["flaky", "last"]))
    run_id = await emitted(pulse)
    assert (await pulse.engine.wait_for_run(run_id)).status == "failed"
    await operator.reset(run_id, to=0)
    await pulse.wait_for_status(run_id, "completed")
    assert (good.call_count, flaky.call_count) == (1, 2)


@pytest.mark.parametrize("block", [False, True], ids=["step", "block"])
async def test_a_reset_behind_the_failure_fails_again_and_changes_nothing(
    pulse: PulseTest, operator: Operator, *, block: bool
) -> None:
    bad = pulse.action("bad", fails=1)
    good = pulse.action("good")
    steps = [parallel("both", ["bad"], ["good"])] if block else ["bad"]
    await pulse.define("reset.met", *steps)
    run_id = await emitted(pulse)
    before = await pulse.engine.wait_for_run(run_id)
    timeline = await pulse.timeline(run_id)
    new = await operator.reset(run_id, to=-1)
    assert await operator.ended(run_id, new) == WorkflowExecutionStatus.FAILED
    assert await pulse.engine.get_run(run_id) == before
    assert await pulse.timeline(run_id) == timeline
    await pulse.engine.retry_run(run_id)
    await pulse.wait_for_status(run_id, "completed")
    assert bad.call_count == 2
    assert good.call_count == (1 if block else 0)


async def test_a_reset_of_a_completed_run_ends_itself(
    pulse: PulseTest, operator: Operator
) -> None:
    act = pulse.action("act")
    pulse.action("one")
    pulse.action("two")
    await pulse.define("reset.met", "act", parallel("both", ["one"], ["two"]))
    run_id = await emitted(pulse)
    before = await pulse.engine.wait_for_run(run_id)
    timeline = await pulse.timeline(run_id)
    new = await operator.reset(run_id, to=0)
    await operator.ended(run_id, new)
    assert act.call_count == 1
    assert await pulse.engine.get_run(run_id) == before
    assert await pulse.timeline(run_id) == timeline


async def test_a_reset_of_a_canceled_run_closes_as_canceled(
    pulse: PulseTest, operator: Operator
) -> None:
    gate = pulse.gate("gate")
    await pulse.define("reset.met", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await pulse.engine.cancel_run(run_id, reason="enough")
    before = await pulse.engine.get_run(run_id)
    new = await operator.reset(run_id, to=0)
    assert await operator.ended(run_id, new) == WorkflowExecutionStatus.CANCELED
    assert len(gate.calls) == 1
    assert await pulse.engine.get_run(run_id) == before


async def test_a_reset_of_an_earlier_generation_of_a_canceled_run_ends_itself(
    pulse: PulseTest, operator: Operator
) -> None:
    pulse.action("flaky", fails=1)
    gate = pulse.gate("gate")
    await pulse.define("reset.met", "flaky", "gate")
    run_id = await emitted(pulse)
    await pulse.wait_for_status(run_id, "failed")
    await operator.ended(run_id)
    await pulse.engine.retry_run(run_id)
    await gate.reached()
    await pulse.engine.cancel_run(run_id)
    old = await operator.reset(run_id, to=0)
    assert await operator.ended(run_id, old) == WorkflowExecutionStatus.COMPLETED
    present = contract.workflow_id(run_id, 2)
    assert await operator.ended(present) == WorkflowExecutionStatus.CANCELED


async def test_a_reset_of_an_earlier_generation_ends_itself(
    pulse: PulseTest, operator: Operator
) -> None:
    flaky = pulse.action("flaky", fails=1)
    gate = pulse.gate("gate")
    await pulse.define("reset.met", "flaky", "gate")
    run_id = await emitted(pulse)
    assert (await pulse.engine.wait_for_run(run_id)).status == "failed"
    await pulse.engine.retry_run(run_id)
    await gate.reached()
    old = await operator.reset(run_id, to=0)
    assert await operator.ended(run_id, old) == WorkflowExecutionStatus.COMPLETED
    gate.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert (flaky.call_count, len(gate.calls)) == (2, 1)


async def test_only_the_execution_of_the_latest_reset_writes(
    pulse: PulseTest, operator: Operator
) -> None:
    first, gate = pulse.action("first"), pulse.gate("gate")
    await pulse.define("reset.met", "first", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await operator.reset(run_id, to=0)
    await eventually(lambda: called_again(gate.calls))
    newest = await operator.reset(run_id, to=0)
    gate.open()
    assert await operator.ended(run_id, newest) == WorkflowExecutionStatus.COMPLETED
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert first.call_count == 1


async def test_a_reset_of_a_branch_goes_on_for_its_parent(
    pulse: PulseTest, operator: Operator
) -> None:
    left, right = pulse.action("left"), pulse.gate("right")
    pulse.action("left_too")
    await pulse.define("reset.met", parallel("both", ["left", "right"], ["left_too"]))
    run_id = await emitted(pulse)
    await right.reached()
    try:
        await operator.reset(f"{run_id}/0/b0", to=0)
    except RPCError as error:
        pytest.skip(f"this server does not reset child workflows: {error}")
    await eventually(lambda: called_again(right.calls))
    right.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert left.call_count == 1


async def test_a_reset_that_was_reset_before_it_spoke_takes_nothing_over(
    pulse: PulseTest, operator: Operator
) -> None:
    """What it still sends, from a worker that was frozen, is refused; the newest goes on."""
    gate = pulse.gate("gate")
    await pulse.define("reset.met", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    first = (await operator.client.get_workflow_handle(run_id).describe()).run_id
    await pulse.engine.stop()
    silent = await operator.reset(run_id, to=0)
    await operator.reset(run_id, to=0, run_id=first)
    await pulse.engine.start()
    await eventually(lambda: called_again(gate.calls))

    environment = ActivityEnvironment(client=operator.client)
    environment.info = replace(
        environment.info, workflow_id=run_id, workflow_run_id=silent, is_local=True
    )
    database = Database(pulse.dsn, prefix="pulse_", timeout=timedelta(seconds=10))
    observers = Observers(database, RunWaiter(database), on_step=None, on_run=None)
    mirror = Mirror(database, pulse.engine.registry, observers, pulse.engine.options)
    activities = MirrorActivities(mirror, RunControl(database, observers), lambda: None)
    execution = ExecutionRef(
        scope=Scope(run_id=run_id, tenant_id=TENANT), first_execution_run_id=first
    )
    answer = await environment.run(activities.begin, execution)
    await database.close()
    assert isinstance(answer.root, Refusal)
    assert answer.root.reason == "superseded"
    gate.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"


async def test_no_handler_is_called_after_its_run_has_failed(
    pulse: PulseTest, operator: Operator
) -> None:
    """A delivery that was on its way when the branches were terminated comes too late."""
    act = pulse.action("act")
    too = action("act_too", uses="act")
    await pulse.define("reset.met", parallel("both", ["act"], [too]))
    arm(parse("step.before_claim=sleep:2"))
    try:
        run_id = await emitted(pulse)
        for branch in ("0/b0", "0/b1"):
            await eventually(lambda b=branch: open_in_temporal(operator, f"{run_id}/{b}"))
            await operator.terminate(f"{run_id}/{branch}")
        assert (await pulse.engine.wait_for_run(run_id)).status == "failed"
        await pulse.engine.stop()
    finally:
        arm({})
    assert act.call_count == 0
    assert "completed" not in (await pulse.statuses(run_id)).values()


async def open_in_temporal(operator: Operator, workflow_id: str) -> bool:
    """Return whether a workflow is there."""
    return await operator.status(workflow_id) is not None
