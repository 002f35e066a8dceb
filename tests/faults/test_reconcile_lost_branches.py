"""A workflow that is terminated and reset in a block waits for branches that have closed before.

Temporal ends the branches after their parent has closed, and tells nobody. Whoever is reset to a
point in the block waits for them for ever, and is still open when somebody looks.
"""

from __future__ import annotations

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from pulse_temporal import contract
from pulse_temporal.testing import Gate, parallel
from tests.faults.reconciling import begun, emitted, found, repairs_told
from tests.harness import TENANT, PulseTest, eventually
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults

BRANCHES = ("0/b0", "0/b1")


async def terminated_in_a_block(pulse: PulseTest, operator: Operator) -> tuple[str, list[Gate]]:
    """Terminate a run's workflow that waits for two branches, and wait until these are closed."""
    gates = [pulse.gate("left", returns={"n": 1}), pulse.gate("right", returns={"n": 2})]
    await pulse.define("found.wanting", parallel("both", ["left"], ["right"]))
    run_id = await emitted(pulse)
    for gate in gates:
        await gate.reached()
    await begun(pulse, run_id)
    await eventually(lambda: waits_for_branches(operator, run_id))
    await operator.terminate(run_id)
    for branch in BRANCHES:
        await operator.ended(contract.branch_workflow_id(run_id, 1, branch))
    return run_id, gates


async def waits_for_branches(operator: Operator, run_id: str) -> bool:
    """Return whether a workflow has decided on the start of its branches."""
    return len(await operator.decisions(run_id)) > 1


async def test_the_run_goes_on_from_what_is_on_record(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    run_id, gates = await terminated_in_a_block(pulse, operator)
    await operator.reset(run_id, to=-1)
    for gate in gates:
        gate.open()

    report = await pulse.engine.reconcile()

    assert found(report) == [(run_id, "branch_lost", "restart")]
    run = await pulse.engine.wait_for_run(run_id)
    assert (run.status, run.generation) == ("completed", 2)
    assert run.context == {"left": {"n": 1}, "right": {"n": 2}}
    assert await repairs_told(pulse, run_id) == ["restart"]
    # The workflow of the first generation is still there, and can only be terminated.
    await age(connection)
    await terminated_by_reconciler(pulse, run_id)
    assert await operator.status(run_id) == WorkflowExecutionStatus.TERMINATED
    assert (await pulse.engine.reconcile()).repairs == ()


async def test_the_workflow_of_a_canceled_run_is_closed(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    run_id, _ = await terminated_in_a_block(pulse, operator)
    await pulse.engine.cancel_run(run_id, tenant_id=TENANT)
    await begun(pulse, run_id)  # the cancel has found no open workflow
    await operator.reset(run_id, to=-1)
    await operator.client.get_workflow_handle(run_id).cancel()
    await age(connection)

    async def is_closed() -> bool:
        """Say so; now and then the cancel comes before it waits, and then it ends by itself."""
        await pulse.engine.reconcile()
        return await operator.status(run_id) != WorkflowExecutionStatus.RUNNING

    await eventually(is_closed)
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert run.status == "canceled"


async def test_the_workflow_of_a_failed_run_is_terminated_and_a_retry_goes_on(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    run_id, gates = await terminated_in_a_block(pulse, operator)
    assert found(await pulse.engine.reconcile()) == [(run_id, "terminated", "fail")]
    await operator.reset(run_id, to=-1)
    await age(connection)

    await terminated_by_reconciler(pulse, run_id)

    for gate in gates:
        gate.open()
    await pulse.engine.retry_run(run_id, tenant_id=TENANT)
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"


async def test_a_reset_whose_branches_are_open_is_left_alone(
    pulse: PulseTest, operator: Operator
) -> None:
    gates = [pulse.gate("left"), pulse.gate("right")]
    await pulse.define("found.wanting", parallel("both", ["left"], ["right"]))
    run_id = await emitted(pulse)
    for gate in gates:
        await gate.reached()
    await begun(pulse, run_id)
    await eventually(lambda: waits_for_branches(operator, run_id))
    await operator.reset(run_id, to=-1)

    assert (await pulse.engine.reconcile()).repairs == ()

    for gate in gates:
        gate.open()
    run = await pulse.engine.wait_for_run(run_id)
    assert (run.status, run.generation) == ("completed", 1)


async def terminated_by_reconciler(pulse: PulseTest, run_id: str) -> None:
    """Reconcile until the workflow is terminated: Temporal's lists lag behind by a moment."""

    async def look() -> bool:
        repairs = found(await pulse.engine.reconcile())
        assert repairs in ([], [(run_id, "branch_lost", "terminate_workflow")])
        return bool(repairs)

    await eventually(look)


async def age(connection: asyncpg.Connection) -> None:
    """Let every run have changed last an hour ago."""
    await connection.execute(
        "UPDATE pulse_workflow_runs SET updated_at = now() - interval '1 hour'"
    )
