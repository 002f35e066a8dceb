"""kill -9 of workers in the middle of a bulk operation: each run is done once, none is lost."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import BulkOperation
from tests.faults.crew import Crew, work
from tests.harness import SOURCE, TENANT, PulseTest, eventually

pytestmark = pytest.mark.faults

RUNS = 1_000
PATIENCE = timedelta(minutes=2)
BATCH = 200

FAIL_ALL = """
UPDATE pulse_workflow_step_runs SET status = 'failed', error_message = 'down';
UPDATE pulse_workflow_runs
SET status = 'failed', failed_at = now(), error_message = 'down', updated_at = now();
UPDATE pulse_run_control SET closed_as = 'failed';
DELETE FROM pulse_outbox
"""
"""Runs that have never begun, as they stand when their only step has failed."""

RETRIES = """
SELECT subject_id FROM pulse_audit WHERE action = 'run.retry' AND detail ->> 'bulk' = $1
"""


async def failed_runs(pulse: PulseTest, connection: asyncpg.Connection) -> None:
    """Make runs that have failed, without working on them."""
    await pulse.define("fault.met", work("first"))
    for _ in range(RUNS // BATCH):
        signal = {"tenantId": TENANT, "source": SOURCE, "type": "fault.met"}
        await pulse.engine.emit_many([signal] * BATCH)
    await connection.execute(FAIL_ALL)


async def done(crew: Crew, operation: BulkOperation, number: int) -> BulkOperation:
    """Wait until so many runs are done."""

    async def look() -> BulkOperation | None:
        found = await crew.pulse.engine.get_bulk(operation.id)
        assert found is not None
        return found if found.done >= number or found.is_over else None

    return await eventually(look, within=PATIENCE)


async def test_workers_that_are_killed_lose_nothing_and_do_nothing_twice(
    crew: Crew, connection: asyncpg.Connection
) -> None:
    """Two workers share the runs; each of them dies on the way, and another one comes."""
    await failed_runs(crew.pulse, connection)
    crew.order("first", "hang")  # what they start is not what is tried here
    workers = [await crew.start(), await crew.start()]

    started = await crew.pulse.engine.start_bulk(
        "retry", filter={"status": "failed"}, tenant_id=TENANT, rate=RUNS
    )
    for number, doomed in enumerate(workers, start=1):
        seen = await done(crew, started, number * RUNS // 4)
        assert not seen.is_over
        await doomed.kill()
        await crew.start()
    ended = await done(crew, started, RUNS)

    assert (ended.status, ended.items, ended.done) == ("completed", RUNS, RUNS)
    retried = [row["subject_id"] for row in await connection.fetch(RETRIES, started.id)]
    assert len(retried) == len(set(retried)) == RUNS
    generations = await connection.fetch(
        "SELECT generation, count(*) AS runs FROM pulse_workflow_runs GROUP BY generation"
    )
    assert [tuple(row) for row in generations] == [(2, RUNS)]
