"""What an execution sends late, when its run has gone on: refused, or without effect."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal.clock import utc_now
from pulse_temporal.contract import StepDone
from pulse_temporal.services.runs.ledger import Ledger
from pulse_temporal.services.runs.mirror import Mirror
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store.database import Database
from pulse_temporal.testing import delay, parallel
from tests.harness import PulseTest
from tests.integration.test_pauses_between_attempts import root_fence

BOUND = timedelta(seconds=10)


@pytest.fixture
async def opened(pulse: PulseTest) -> AsyncGenerator[Database]:
    """Yield the tables as another worker sees them."""
    database = Database(pulse.dsn, prefix="pulse_", timeout=BOUND)
    yield database
    await database.close()


async def test_the_active_step_of_a_run_that_has_gone_on_is_not_set_back(
    pulse: PulseTest, opened: Database, connection: asyncpg.Connection
) -> None:
    for name in "abcd":
        pulse.action(name)
    await pulse.define("late.met", "a", delay("pause", 1), parallel("both", ["b"], ["c"]), "d")
    run = await pulse.emit_and_wait("late.met")
    assert (run.status, run.current_step_index) == ("completed", 3)
    fence = await root_fence(connection, run.id)
    observers = Observers(opened, RunWaiter(opened), on_step=None, on_run=None)
    options = pulse.engine.options
    ledger = Ledger(opened, observers, options, worker_id="wrk_late", clock=utc_now)
    mirror = Mirror(opened, pulse.engine.registry, observers, options)

    again = await ledger.claim(fence, "0", timeout=BOUND, waited_after=0)
    assert isinstance(again, StepDone)
    await mirror.start_delay(fence, "1", now=utc_now(), until=utc_now())
    await mirror.start_parallel(fence, "2", opens_list=False)

    assert await pulse.engine.get_run(run.id) == run
