"""A delivery is cut off: Temporal has given it up, and the handler has done nothing wrong.

It happens to a worker that was frozen for a while, and to one that loses the workflow of a short
step. Here the task of the activity is canceled, as the SDK cancels it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import asyncpg
import pytest

from pulse_temporal.activities.handover import Handover
from pulse_temporal.testing import action
from tests.harness import PulseTest, eventually

pytestmark = pytest.mark.faults

LONG = 60_000
"""A declared timeout that makes a step a queued activity; nobody waits for it to pass."""

CLAIMS_THAT_WAIT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Deliveries:
    """The queued deliveries of the workers that are made from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        covering = Handover.covering

        @contextmanager
        def noted(handover: Handover) -> Generator[None]:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                with covering(handover):
                    yield
            finally:
                self._tasks.discard(task)

        monkeypatch.setattr(Handover, "covering", noted)

    def cut_off(self) -> int:
        """Cancel those that are at work; give how many there are."""
        at_work = list(self._tasks)
        for task in at_work:
            task.cancel()
        return len(at_work)


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    """Return the deliveries of the test's worker."""
    return Deliveries(monkeypatch)


async def attempts(pulse: PulseTest, run_id: str, path: str) -> list[tuple[str, int]]:
    """Return status and number of each attempt of a step."""
    found = await pulse.engine.get_step_attempts(run_id)
    return [(each.status, each.attempt) for each in found if each.path == path]


async def test_a_handler_that_is_cut_off_has_its_attempt_back(
    deliveries: Deliveries, pulse: PulseTest
) -> None:
    gate = pulse.gate("gate", returns={"n": 1})
    await pulse.define("cut.met", action("gate", timeoutMs=LONG))
    (run_id,) = (await pulse.emit("cut.met")).run_ids
    await gate.reached()

    assert deliveries.cut_off() == 1

    await eventually(lambda: called_twice(gate.calls))
    gate.open()
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert await attempts(pulse, run_id, "0") == [("lost", 1), ("completed", 1)]


async def called_twice(calls: Sequence[object]) -> bool:
    """Return whether a handler was called again."""
    return len(calls) == 2


async def test_a_claim_that_is_cut_off_and_commits_all_the_same_is_given_back(
    deliveries: Deliveries, pulse: PulseTest, connection: asyncpg.Connection, database: str
) -> None:
    """Nobody was called for it, and nobody knows of it but its row."""
    first, second = pulse.gate("first"), pulse.action("second")
    await pulse.define(
        "cut.met", action("first", timeoutMs=LONG), action("second", timeoutMs=LONG)
    )
    (run_id,) = (await pulse.emit("cut.met")).run_ids
    await first.reached()
    holder = await asyncpg.connect(database)
    async with holder.transaction():
        await holder.execute(
            "SELECT FROM pulse_workflow_step_runs WHERE run_id = $1 AND path = '1' FOR UPDATE",
            run_id,
        )
        first.open()

        async def claim_waits() -> bool:
            return await connection.fetchval(CLAIMS_THAT_WAIT) == 1

        await eventually(claim_waits)
        assert deliveries.cut_off() == 1
    await holder.close()

    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    assert second.call_count == 1
    assert await attempts(pulse, run_id, "1") == [("lost", 1), ("completed", 1)]
