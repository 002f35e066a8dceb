"""kill -9 of a worker: another one finishes, and the tenant's attempts are untouched."""

from __future__ import annotations

import signal

import asyncpg
import pytest

from pulse_temporal.testing import condition, delay, parallel
from tests.faults.crew import Crew, work
from tests.harness import eventually

pytestmark = pytest.mark.faults

SHORT = 1_500
"""A declared timeout that makes a step a local activity."""


async def finish_elsewhere(crew: Crew, run_id: str) -> None:
    """Let a new worker finish a run."""
    await crew.start()
    run = await crew.pulse.engine.wait_for_run(run_id, 60)
    assert run.status == "completed", run.error_message


async def test_a_worker_killed_in_an_action_costs_no_attempt(crew: Crew) -> None:
    """What was recorded is not repeated; the one granted attempt is still there."""
    doomed = await crew.start()
    crew.order("second", "hang")
    run_id = await crew.run(work("first"), work("second"), work("third"))
    await crew.called("second")
    await doomed.kill()
    crew.withdraw("second", "hang")
    await finish_elsewhere(crew, run_id)

    assert [call.step for call in crew.calls()] == ["first", "second", "second", "third"]
    assert [call.attempt for call in crew.calls("second")] == [1, 1]
    assert await crew.attempts(run_id, "1") == ["lost", "completed"]
    steps = await crew.pulse.steps(run_id)
    assert (steps["1"].attempt, steps["1"].max_attempts) == (1, 1)


async def test_a_worker_killed_in_a_short_action_costs_no_attempt(crew: Crew) -> None:
    """A short action runs inside the workflow's worker; after a crash it goes on queued."""
    doomed = await crew.start()
    crew.order("second", "hang")
    run_id = await crew.run(
        work("first", timeoutMs=SHORT), work("second", timeoutMs=SHORT), work("third")
    )
    await crew.called("second")
    await doomed.kill()
    crew.withdraw("second", "hang")
    await finish_elsewhere(crew, run_id)

    assert [call.step for call in crew.calls()] == ["first", "second", "second", "third"]
    assert await crew.attempts(run_id, "0") == ["completed"]
    assert await crew.attempts(run_id, "1") == ["lost", "completed"]


async def test_a_worker_killed_in_a_condition_asks_again(crew: Crew) -> None:
    doomed = await crew.start()
    crew.order("question", "hang")
    run_id = await crew.run(condition("question", uses="ask"), work("answer"))
    await crew.called("question")
    await doomed.kill()
    crew.withdraw("question", "hang")
    await finish_elsewhere(crew, run_id)

    assert [call.step for call in crew.calls()] == ["question", "question", "answer"]
    assert await crew.attempts(run_id, "0") == ["lost", "completed"]


async def test_a_worker_killed_in_a_delay_changes_nothing(crew: Crew) -> None:
    """The delay ends when it was due, not when a worker came back."""
    doomed = await crew.start()
    run_id = await crew.run(work("before"), delay("pause", 1_500), work("after"))
    await crew.pulse.wait_for_status(run_id, "waiting")
    due = (await crew.pulse.steps(run_id))["1"].scheduled_for
    await doomed.kill()
    await finish_elsewhere(crew, run_id)

    assert [call.step for call in crew.calls()] == ["before", "after"]
    pause = (await crew.pulse.steps(run_id))["1"]
    assert pause.scheduled_for == due
    assert due is not None
    assert pause.completed_at is not None
    assert pause.completed_at >= due


async def test_a_worker_killed_in_a_branch_repeats_only_that_step(crew: Crew) -> None:
    """Branches that have ended stay ended."""
    doomed = await crew.start()
    crew.order("slow", "hang")
    run_id = await crew.run(
        parallel("both", [work("quick"), work("done")], [work("start"), work("slow")]),
        work("after"),
    )
    await crew.called("slow")
    await crew.pulse.wait_for_step(run_id, "0/b0/1", "completed")
    await doomed.kill()
    crew.withdraw("slow", "hang")
    await finish_elsewhere(crew, run_id)

    assert sorted(call.step for call in crew.calls()) == sorted(
        ["quick", "done", "start", "slow", "slow", "after"]
    )
    assert await crew.attempts(run_id, "0/b1/1") == ["lost", "completed"]


async def test_a_handler_that_kills_its_workers_fails_its_step(crew: Crew) -> None:
    """A fleet survives a poisonous handler: after two dead workers the third gives up."""
    crew.order("poison", "suicide")
    run_id = await crew.run(work("before"), work("poison"), work("after"))
    for times in (1, 2):
        victim = await crew.start(max_lost_workers=2)
        assert await victim.ended() == -signal.SIGKILL
        assert len(crew.calls("poison")) == times
    await crew.start(max_lost_workers=2)
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert run.status == "failed"
    assert await crew.attempts(run_id, "1") == ["lost", "lost"]
    poison = (await crew.pulse.steps(run_id))["1"]
    assert "WorkerLostError: 2 workers" in (poison.error_message or "")
    assert [call.step for call in crew.calls()] == ["before", "poison", "poison"]


class HeldRecord:
    """Holds a run's control row, so that a step that has returned cannot be recorded yet."""

    def __init__(self, connection: asyncpg.Connection, dsn: str) -> None:
        self.connection = connection
        self.dsn = dsn

    async def hold(self, run_id: str) -> None:
        """Take the row."""
        await self.connection.execute("BEGIN")
        await self.connection.execute(
            "SELECT 1 FROM pulse_run_control WHERE run_id = $1 FOR UPDATE", run_id
        )

    async def someone_waits(self) -> int:
        """Wait until a recording waits for the row; give the pid of its server process."""
        own = self.connection.get_server_pid()
        watcher = await asyncpg.connect(self.dsn)

        async def waiting() -> int | None:
            return await watcher.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", own
            )

        try:
            return await eventually(waiting)
        finally:
            await watcher.close()

    async def let_go(self) -> None:
        """Give the row back."""
        await self.connection.execute("COMMIT")


@pytest.fixture
def record(connection: asyncpg.Connection, database: str) -> HeldRecord:
    """Return the means to stop a worker between a handler's return and its record."""
    return HeldRecord(connection, database)


async def test_a_worker_killed_before_the_record_calls_again(
    crew: Crew, record: HeldRecord
) -> None:
    """An action runs at least once; its idempotency key lets the other side notice."""
    doomed = await crew.start()
    crew.order("only", "hang")
    run_id = await crew.run(work("only"))
    await crew.called("only")
    await record.hold(run_id)
    crew.withdraw("only", "hang")
    backend = await record.someone_waits()
    await doomed.kill()
    await record.connection.execute("SELECT pg_terminate_backend($1)", backend)
    await record.let_go()
    await finish_elsewhere(crew, run_id)

    assert len(crew.calls("only")) == 2
    assert await crew.attempts(run_id, "0") == ["lost", "completed"]


async def test_a_worker_killed_after_the_record_does_not_call_again(
    crew: Crew, record: HeldRecord
) -> None:
    """Temporal delivers the step again, and the ledger answers with what is on record."""
    doomed = await crew.start()
    crew.order("only", "hang")
    run_id = await crew.run(work("only"), work("after"))
    await crew.called("only")
    await record.hold(run_id)
    crew.withdraw("only", "hang")
    await record.someone_waits()
    await doomed.kill()
    await record.let_go()  # the server process of the dead worker goes on, and commits
    await crew.pulse.wait_for_step(run_id, "0", "completed")
    await finish_elsewhere(crew, run_id)

    (call,) = crew.calls("only")
    assert call.pid == doomed.pid
    assert await crew.attempts(run_id, "0") == ["completed"]
    run = await crew.pulse.engine.get_run(run_id)
    assert run is not None
    assert run.context["only"] == {"by": doomed.pid, "key": f"{run_id}:0"}
