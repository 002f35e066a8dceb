"""A worker whose clock is wrong: runs finish, and no time on record is the worker's."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal.testing import action, condition, delay, parallel
from tests.faults.crew import Crew, work

pytestmark = pytest.mark.faults

LIBRARIES = [
    found
    for pattern in ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1")
    for found in Path("/usr/lib").glob(pattern)
]
TIMES = """
SELECT t.kind, t.at FROM (
    SELECT 'run created' AS kind, created_at AS at FROM pulse_workflow_runs
    UNION ALL SELECT 'run started', started_at FROM pulse_workflow_runs
    UNION ALL SELECT 'run updated', updated_at FROM pulse_workflow_runs
    UNION ALL SELECT 'run completed', completed_at FROM pulse_workflow_runs
    UNION ALL SELECT 'step started', started_at FROM pulse_workflow_step_runs
    UNION ALL SELECT 'step completed', completed_at FROM pulse_workflow_step_runs
    UNION ALL SELECT 'step scheduled', scheduled_for FROM pulse_workflow_step_runs
    UNION ALL SELECT 'attempt started', started_at FROM pulse_step_attempts
    UNION ALL SELECT 'event', at FROM pulse_run_events
    UNION ALL SELECT 'log', created_at FROM pulse_execution_logs
    UNION ALL SELECT 'worker started', started_at FROM pulse_workers
    UNION ALL SELECT 'worker seen', seen_at FROM pulse_workers
) AS t
WHERE t.at NOT BETWEEN $1 AND now()
"""


@pytest.fixture
def skewed(crew: Crew, request: pytest.FixtureRequest) -> Crew:
    """Return a crew whose workers see another time; what they measure is as long as ever."""
    if not LIBRARIES:
        pytest.skip("libfaketime (Debian: faketime) is not installed")
    crew.environment |= {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME": request.param,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return crew


@pytest.mark.parametrize("skewed", ["+1h", "-1h", "+40d"], indirect=True)
async def test_a_worker_with_a_wrong_clock(skewed: Crew, connection: asyncpg.Connection) -> None:
    begun: datetime = await connection.fetchval("SELECT now()")
    await skewed.start()
    run_id = await skewed.run(
        work("short", timeoutMs=1_500),
        condition("question", uses="ask"),
        delay("pause", 1_200),
        action("threaded", uses="sync_work"),
        parallel("both", [work("left"), delay("moment", 300)], [work("right")]),
    )
    run = await skewed.pulse.engine.wait_for_run(run_id, 60)
    steps = await skewed.pulse.steps(run_id)
    entries = await skewed.pulse.engine.get_run_timeline(run_id)
    wrong = await connection.fetch(TIMES, begun)

    assert run.status == "completed", run.error_message
    assert [tuple(row) for row in wrong] == []
    pause, before, after = steps["2"], steps["1"], steps["3"]
    assert pause.scheduled_for is not None
    assert pause.completed_at is not None
    assert before.completed_at is not None
    assert after.started_at is not None
    assert (pause.scheduled_for - before.completed_at).total_seconds() > 1.0, "never early"
    assert pause.completed_at >= pause.scheduled_for
    assert after.started_at >= pause.scheduled_for
    # Two branches at the same moment: the one that waited for the other's lock is told later.
    at = [
        entry.timestamp
        for entry in entries
        if entry.type != "log" and not (entry.path or "").startswith("4/b1")
    ]
    assert at == sorted(at)
    assert [call.step for call in skewed.calls()][:3] == ["short", "question", "threaded"]
