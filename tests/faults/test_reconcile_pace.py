"""All open runs are compared within so many turns, however many they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.services.care.comparison import ComparisonPace
from pulse_temporal.services.care.reconcile import Reconciler
from pulse_temporal.testing import delay
from tests.faults.reconciling import HOUR, emitted, found, reconciler_of
from tests.harness import PulseTest
from tests.temporal_operator import Operator

pytestmark = pytest.mark.faults

RUNS = 10
SMALL = ComparisonPace(page=2, turns=2, settled_for=timedelta())
"""Ten runs are many to it, and old."""


@pytest.mark.parametrize("count", [0, 1, 500, 5_000, 5_001, 300_000, 1_000_000])
def test_few_runs_are_a_page_and_many_a_part_of_the_round(count: int) -> None:
    pace = ComparisonPace()
    pages = pace.pages_of_a_turn(count)
    assert pages * pace.page * pace.turns >= count
    assert pages == 1 or (pages - 1) * pace.page * pace.turns < count


async def turn(
    reconciler: Reconciler, operator: Operator, connection: asyncpg.Connection
) -> ReconcileReport:
    """Make a worker's turn, which is due now."""
    await connection.execute("UPDATE pulse_reconcilers SET due_at = now()")
    report = await reconciler.turn(operator.client)
    assert report is not None
    return report


async def test_a_round_over_many_runs_takes_as_many_turns_as_one_over_few(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    await pulse.define("found.wanting", delay("long", HOUR))
    run_ids = [await emitted(pulse) for _ in range(RUNS)]
    for run_id in run_ids:
        await pulse.wait_for_status(run_id, "waiting")
    await pulse.engine.reconcile()
    lost = run_ids[-1]
    await operator.terminate(lost)

    reconciler = reconciler_of(pulse, SMALL)
    first = await turn(reconciler, operator, connection)
    second = await turn(reconciler, operator, connection)

    assert (first.checked, second.checked) == (6, 4)
    assert found(first) == []
    assert found(second) == [(lost, "terminated", "fail")]


async def test_a_turn_ends_at_the_page_that_halts_it(
    pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    """What is lost among a page counts against that page, not against all of the turn."""
    await pulse.define("found.wanting", delay("long", HOUR))
    run_ids = [await emitted(pulse) for _ in range(RUNS)]
    for run_id in run_ids:
        await pulse.wait_for_status(run_id, "waiting")
    await pulse.engine.reconcile()
    for run_id in run_ids[2:4]:
        await operator.delete(run_id)

    reconciler = reconciler_of(pulse, replace(SMALL, mass_loss=2))
    report = await turn(reconciler, operator, connection)
    again = await turn(reconciler, operator, connection)

    assert "2 of 2 open runs are not in Temporal" in (report.halted or "")
    assert (report.checked, again.checked) == (4, 2)
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM pulse_workflow_runs WHERE status = 'waiting'"
        )
        == RUNS
    )
    report = await pulse.engine.reconcile(confirm=True)
    assert [repair.remedy for repair in report.repairs] == ["restart", "restart"]
