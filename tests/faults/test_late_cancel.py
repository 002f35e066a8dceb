"""A cancel in Temporal that comes when the run is over already: the run stays as it ended."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from temporalio.client import WorkflowExecutionStatus

from pulse_temporal.failpoints import arm, parse
from tests.harness import PulseTest
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults


@pytest.fixture
def slow_closing() -> Generator[None]:
    """Let workflows stay open for a while after their run has ended in Postgres."""
    arm(parse("finish_run.after_write=sleep:1.5"))
    yield
    arm({})


@pytest.mark.usefixtures("slow_closing")
@pytest.mark.parametrize(
    ("fails", "status", "state"),
    [
        (0, "completed", WorkflowExecutionStatus.COMPLETED),
        (1, "failed", WorkflowExecutionStatus.FAILED),
    ],
)
async def test_a_cancel_after_the_end_does_not_change_how_the_run_ended(
    pulse: PulseTest, operator: Operator, fails: int, status: str, state: WorkflowExecutionStatus
) -> None:
    pulse.action("act", fails=fails)
    await pulse.define("over.already", "act")
    (run_id,) = (await pulse.emit("over.already")).run_ids
    await pulse.wait_for_status(run_id, status)
    assert await operator.status(run_id) == WorkflowExecutionStatus.RUNNING
    await operator.client.get_workflow_handle(run_id).cancel()
    assert await operator.ended(run_id) == state
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert run.status == status


async def test_a_cancel_of_an_earlier_generations_workflow_leaves_the_run_alone(
    pulse: PulseTest, operator: Operator
) -> None:
    pulse.action("flaky", fails=1)
    gate = pulse.gate("gate")
    await pulse.define("over.already", "flaky", "gate")
    (run_id,) = (await pulse.emit("over.already")).run_ids
    await pulse.wait_for_status(run_id, "failed")
    await operator.ended(run_id)
    await pulse.engine.retry_run(run_id)
    await gate.reached()
    await operator.reset(run_id, to=0)
    await operator.client.get_workflow_handle(run_id).cancel()
    await operator.ended(run_id)
    gate.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
