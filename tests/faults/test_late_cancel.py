"""A cancel in Temporal that comes when the run is over already: the run stays as it ended."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from pulse_temporal.failpoints import arm, parse
from pulse_temporal.workflows import pulse as workflows
from tests.harness import PulseTest, eventually
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults

LOSE_CANCELS = """
CREATE SEQUENCE cancels;
CREATE FUNCTION lose_cancel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('cancels') <= %d THEN DELETE FROM pulse_outbox WHERE id = NEW.id; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER lose_cancel AFTER INSERT ON pulse_outbox
FOR EACH ROW WHEN (NEW.kind = 'cancel') EXECUTE FUNCTION lose_cancel()
"""


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


@pytest.fixture
def impatient_workflows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a canceled run's workflow ask soon for Temporal's cancel, when that does not come."""
    monkeypatch.setattr(workflows, "CANCEL_ARRIVAL", timedelta(milliseconds=10))


async def cancel_a_run(
    pulse: PulseTest, connection: asyncpg.Connection, *, lost_cancels: int
) -> str:
    """Cancel a run in the middle of a step, so many of whose cancels never reach Temporal."""
    await connection.execute(LOSE_CANCELS % lost_cancels)
    gate = pulse.gate("gate")
    await pulse.define("over.already", "gate")
    (run_id,) = (await pulse.emit("over.already")).run_ids
    await gate.reached()
    await pulse.engine.cancel_run(run_id)
    gate.open()
    return run_id


@pytest.mark.usefixtures("impatient_workflows")
async def test_a_canceled_run_closes_as_canceled_however_late_temporals_cancel_comes(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    run_id = await cancel_a_run(pulse, connection, lost_cancels=2)
    assert await operator.ended(run_id) == WorkflowExecutionStatus.CANCELED
    assert await connection.fetchval("SELECT last_value FROM cancels") > 2


@pytest.mark.usefixtures("impatient_workflows")
async def test_the_workflow_of_a_canceled_run_that_was_dropped_ends(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    run_id = await cancel_a_run(pulse, connection, lost_cancels=1_000)
    await eventually(lambda: asked_again(connection))
    await connection.execute("DELETE FROM pulse_workflow_runs WHERE id = $1", run_id)
    assert await operator.ended(run_id) == WorkflowExecutionStatus.COMPLETED


async def asked_again(connection: asyncpg.Connection) -> bool:
    """Return whether the canceled run's workflow has asked for Temporal's cancel."""
    return await connection.fetchval("SELECT last_value FROM cancels") > 1
