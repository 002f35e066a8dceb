"""Temporal's timer says when a pause is over, for the attempt that it was set for."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from pulse_temporal.clock import utc_now
from pulse_temporal.contract import AttemptFailure
from pulse_temporal.model.steps import RetryPolicy
from pulse_temporal.services.runs.ledger import Ledger
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store.attempts import FailedAttempt
from pulse_temporal.store.claims import Claimed
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence
from pulse_temporal.testing import action
from tests.harness import TENANT, PulseTest

BOUND = timedelta(seconds=10)
PAUSE_MS = 300_000


async def test_a_waited_out_pause_lets_the_next_attempt_begin_once(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """The clock of Postgres has not moved; an old delivery that comes again gets no attempt."""
    pulse.action("charge", fails=9)
    retry = {"maxAttempts": 3, "backoffMs": PAUSE_MS}
    await pulse.define("order.paid", action("charge", retryPolicy=retry))
    trigger = await pulse.emit("order.paid")
    (run_id,) = trigger.run_ids
    await pulse.wait_for_step(run_id, "0", "scheduled")
    fence = await root_fence(connection, run_id)
    database = Database(pulse.dsn, prefix="pulse_", timeout=BOUND)
    ledger = Ledger(
        database,
        Observers(database, RunWaiter(database), on_step=None, on_run=None),
        pulse.engine.options,
        worker_id="wrk_other",
        clock=utc_now,
    )

    early = await ledger.claim(fence, "0", timeout=BOUND, waited_after=0)
    assert isinstance(early, AttemptFailure)
    assert early.retry_in_ms is not None
    assert 0 < early.retry_in_ms <= PAUSE_MS

    second = await ledger.claim(fence, "0", timeout=BOUND, waited_after=1)
    assert isinstance(second, Claimed)
    failed = FailedAttempt(message="no", retryable=True)
    policy = RetryPolicy(max_attempts=3, backoff_ms=PAUSE_MS)
    await ledger.fail(second.claim_ref, failed=failed, policy=policy, logs=[])

    again = await ledger.claim(fence, "0", timeout=BOUND, waited_after=1)
    assert isinstance(again, AttemptFailure)
    assert again.attempt == 2

    await database.close()
    await pulse.engine.cancel_run(run_id)


async def root_fence(connection: asyncpg.Connection, run_id: str) -> Fence:
    """Speak as the run's own workflow."""
    row = await connection.fetchrow(
        "SELECT temporal_run_id, first_execution_run_id FROM pulse_run_lineages"
        " WHERE run_id = $1 AND branch = ''",
        run_id,
    )
    assert row is not None
    return Fence(
        run_id=run_id,
        tenant_id=TENANT,
        generation=1,
        branch="",
        temporal_run_id=row["temporal_run_id"],
        first_execution_run_id=row["first_execution_run_id"],
        parent_run_id=None,
        parent_first_run_id=None,
    )
