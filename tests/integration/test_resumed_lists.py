"""Where an execution goes on that finds some steps of its list ended."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from pulse_temporal.store import steps
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence
from pulse_temporal.testing import action, condition
from tests.harness import TENANT, PulseTest

UNSKIP = (
    "UPDATE pulse_workflow_step_runs SET status = 'pending', skipped_by = NULL WHERE path = '1'"
)


class Undone(Exception):  # noqa: N818 - ends a transaction
    """Leave the tables as they were."""


async def test_a_false_condition_that_has_passed_over_nothing_is_asked_again(
    pulse: PulseTest, database: str
) -> None:
    """Its workflow may have ended between the answer and the skip."""
    pulse.condition("ask", returns=False)
    pulse.action("act")
    await pulse.define(
        "order.paid", condition("ask", onFalse="skip"), action("act"), action("end", uses="act")
    )
    run = await pulse.emit_and_wait("order.paid")
    fence = Fence(
        run_id=run.id,
        tenant_id=TENANT,
        generation=1,
        branch="",
        temporal_run_id="another",
        first_execution_run_id="another",
        parent_run_id=None,
        parent_first_run_id=None,
    )
    opened = Database(database, prefix="pulse_", timeout=timedelta(seconds=4))

    with suppress(Undone):
        async with opened.transaction() as session:
            assert await steps.ended_in_list(session, fence, []) == [0, 1, 2]
            await session.connection.execute(UNSKIP)
            assert await steps.ended_in_list(session, fence, []) == [2]
            raise Undone
    await opened.close()
