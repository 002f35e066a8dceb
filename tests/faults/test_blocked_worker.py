"""A worker whose event loop is blocked, beside one whose loop is not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.faults.crew import Crew, work
from tests.harness import eventually

pytestmark = pytest.mark.faults

LONG = 60_000
"""A declared timeout that makes a step a queued activity at once."""


@pytest.mark.parametrize("fields", [{}, {"timeoutMs": LONG}], ids=["local", "queued"])
async def test_another_worker_does_not_call_it_again(
    crew: Crew, fields: dict[str, object]
) -> None:
    """Temporal hands the step to the other one, which learns that it is at work."""
    await crew.start(concurrency=1)
    crew.order("only", "stall")
    run_id = await crew.run(work("only", **fields))
    await crew.called("only")
    await crew.start()
    await found_at_work(crew, run_id)
    crew.withdraw("only", "stall")
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert (run.status, len(crew.calls("only"))) == ("completed", 1)
    assert await crew.attempts(run_id, "0") == ["completed"]


async def test_past_its_time_it_has_failed_once(crew: Crew) -> None:
    """The other worker does not wait for the end of the handler that blocks."""
    await crew.start(concurrency=1)
    crew.order("only", "stall")
    run_id = await crew.run(work("only", timeoutMs=4_000))
    await crew.called("only")
    await crew.start()
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert (run.status, len(crew.calls("only"))) == ("failed", 1)
    assert "blocked the event loop" in (run.error_message or "")
    assert await crew.attempts(run_id, "0") == ["timed_out"]


async def test_a_blocked_worker_that_is_killed_is_a_lost_one(crew: Crew) -> None:
    """Nobody marks its attempt any more, and the tenant's attempt is untouched."""
    blocked = await crew.start(concurrency=1)
    crew.order("only", "stall")
    run_id = await crew.run(work("only", timeoutMs=LONG))
    await crew.called("only")
    await crew.start()
    await found_at_work(crew, run_id)
    await blocked.kill()
    crew.withdraw("only", "stall")
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert (run.status, len(crew.calls("only"))) == ("completed", 2)
    assert [call.attempt for call in crew.calls("only")] == [1, 1]
    assert await crew.attempts(run_id, "0") == ["lost", "completed"]


async def found_at_work(crew: Crew, run_id: str) -> None:
    """Wait until a worker was handed a blocked step, and has left it alone."""
    handle = await crew.pulse.workflow(run_id)

    async def is_left_alone() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any("at work" in each.last_failure.message for each in pending)

    # An open poll of the blocked worker still takes a delivery, until its heartbeat is missed.
    # It has as many as ``concurrency`` allows; with the usual five, this can take a minute.
    assert await eventually(is_left_alone, within=timedelta(minutes=1))
