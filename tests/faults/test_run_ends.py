"""However a run ends, its row has the results of all its actions; lists of runs show that row."""

from __future__ import annotations

import asyncpg
import pytest

from pulse_temporal.store import runs
from pulse_temporal.store.database import Database
from tests.faults.reconciling import begun, emitted
from tests.harness import PATIENCE, PulseTest
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults


async def listed_context(pulse: PulseTest) -> object:
    (run,) = (await pulse.engine.list_runs()).items
    return run.context


async def test_a_run_that_the_reconciler_fails(pulse: PulseTest, operator: Operator) -> None:
    pulse.action("pay", returns={"paid": 1})
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "pay", "gate")
    run_id = await emitted(pulse)
    await gate.reached()
    await begun(pulse, run_id)
    await operator.terminate(run_id)

    await pulse.engine.reconcile()

    assert await listed_context(pulse) == {"pay": {"paid": 1}}
    gate.open()


async def test_a_run_that_is_canceled(pulse: PulseTest) -> None:
    pulse.action("pay", returns={"paid": 1})
    gate = pulse.gate("gate")
    await pulse.define("found.wanting", "pay", "gate")
    run_id = await emitted(pulse)
    await gate.reached()

    await pulse.engine.cancel_run(run_id)

    assert await listed_context(pulse) == {"pay": {"paid": 1}}
    gate.open()


async def test_a_run_whose_next_generation_cannot_start(
    idle_pulse: PulseTest, database: str, connection: asyncpg.Connection
) -> None:
    """What the generations before have recorded is not lost from the row."""
    idle_pulse.action("pay")
    await idle_pulse.define("order.paid", "pay")
    trigger = await idle_pulse.emit("order.paid")
    await connection.execute(
        "UPDATE pulse_workflow_step_runs SET status = 'completed', completed_at = now(),"
        " started_at = now(), result = '{\"paid\": 1}', result_bytes = 10"
    )
    store = Database(database, prefix="pulse_", timeout=PATIENCE)
    async with store.session() as session:
        failed = await runs.fail_unstarted(
            session,
            trigger.run_ids[0],
            tenant_id=trigger.tenant_id,
            generation=1,
            error="Temporal refused to start the run",
        )
    await store.close()

    assert failed
    assert await listed_context(idle_pulse) == {"pay": {"paid": 1}}
