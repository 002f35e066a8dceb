"""Two things happen to one run at the same moment: one legal winner, no contradiction left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable

import asyncpg
import pytest

from pulse_temporal import PulseError, RunConflictError, RunTransitionError
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action
from tests.harness import PulseTest, eventually, make_pulse

ROUNDS = 200
SEED = 20_261_122

pytestmark = pytest.mark.faults


async def at_some_moment(
    moments: random.Random, longest_s: float, call: Awaitable[object]
) -> object:
    """Do it after a random pause; give what it raised instead of raising."""
    await asyncio.sleep(moments.random() * longest_s)
    try:
        return await call
    except PulseError as error:
        return error


async def failed_runs(pulse: PulseTest) -> list[str]:
    """Make ``ROUNDS`` runs that have failed once and succeed when they are retried."""
    flaky = pulse.action("flaky", fails=ROUNDS, returns={"ok": True})
    await pulse.define("race", action("flaky", timeoutMs=1_000))
    triggers = await asyncio.gather(*(pulse.emit("race") for _ in range(ROUNDS)))
    run_ids = [trigger.run_ids[0] for trigger in triggers]
    runs = await asyncio.gather(*(pulse.engine.wait_for_run(run_id, 60) for run_id in run_ids))
    assert {run.status for run in runs} == {"failed"}
    assert flaky.call_count == ROUNDS
    return run_ids


async def test_cancel_against_completion(pulse: PulseTest) -> None:
    """A run is canceled or completed, and the one who came too late is told."""
    moments = random.Random(SEED)  # noqa: S311 - chance for tests, not for secrets
    pulse.action("work", returns={"done": True})
    await pulse.define("race", action("work", timeoutMs=1_000), action("more", uses="work"))

    async def one_round() -> str:
        trigger = await pulse.emit("race")
        (run_id,) = trigger.run_ids
        canceled = await at_some_moment(moments, 1.5, pulse.engine.cancel_run(run_id, "race"))
        run = await pulse.engine.wait_for_run(run_id, 60)
        if isinstance(canceled, RunTransitionError):
            assert run.status == "completed"
        else:
            assert run.status == "canceled"
        return run.status

    outcomes: list[str] = []
    for _ in range(10):
        outcomes += await asyncio.gather(*(one_round() for _ in range(ROUNDS // 10)))
    assert set(outcomes) == {"completed", "canceled"}, "the race was not close"


async def test_retry_against_retry(pulse: PulseTest) -> None:
    """Of two retries of a run one wins and the other is refused; the step is called once."""
    for run_id in await failed_runs(pulse):
        answers = await asyncio.gather(
            pulse.engine.retry_run(run_id), pulse.engine.retry_run(run_id), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(refused) == 1
        assert isinstance(refused[0], RunConflictError | RunTransitionError)
        run = await pulse.engine.wait_for_run(run_id)
        assert (run.status, run.generation) == ("completed", 2)
        assert (await pulse.steps(run_id))["0"].attempt == 1


async def test_cancel_against_retry(pulse: PulseTest) -> None:
    """A cancel that comes after the retry wins; one that comes before is refused."""
    moments = random.Random(SEED)  # noqa: S311 - chance for tests, not for secrets
    run_ids = await failed_runs(pulse)

    async def one_round(run_id: str) -> str:
        retried, canceled = await asyncio.gather(
            at_some_moment(moments, 0.01, pulse.engine.retry_run(run_id)),
            at_some_moment(moments, 0.02, pulse.engine.cancel_run(run_id)),
        )
        assert not isinstance(retried, BaseException)
        run = await pulse.engine.wait_for_run(run_id, 60)
        assert run.status == (
            "completed" if isinstance(canceled, RunTransitionError) else "canceled"
        )
        return run.status

    outcomes = [await one_round(run_id) for run_id in run_ids]
    assert set(outcomes) == {"completed", "canceled"}, "the race was not close"


async def test_disable_against_emit(idle_pulse: PulseTest, connection: asyncpg.Connection) -> None:
    """An emit sees the definition enabled or disabled; what it says it started is there."""
    idle_pulse.action("work")
    definition = await idle_pulse.define("race", "work")
    started: list[str] = []
    for _ in range(ROUNDS):
        await idle_pulse.engine.enable_workflow(definition.id)
        trigger, _ = await asyncio.gather(
            idle_pulse.emit("race"), idle_pulse.engine.disable_workflow(definition.id)
        )
        started += trigger.run_ids
    rows = await connection.fetch("SELECT id FROM pulse_workflow_runs")
    assert sorted(started) == sorted(row["id"] for row in rows)


async def test_two_engines_start_the_same_runs(servers: EmbeddedServices, database: str) -> None:
    """However many relays execute a start, the run is interpreted once."""
    first = make_pulse(database, servers.temporal_address)
    second = make_pulse(database, servers.temporal_address, like=first)
    probes = [first.action("work"), second.action("work")]
    await first.define("race", "work")
    triggers = await asyncio.gather(*(first.emit("race") for _ in range(ROUNDS)))
    opened = await asyncpg.connect(database)
    try:  # every start command twice: whoever comes second must do no harm
        await opened.execute(
            "INSERT INTO pulse_outbox (kind, tenant_id, run_id, task_queue)"
            " SELECT kind, tenant_id, run_id, task_queue FROM pulse_outbox"
        )
        async with first.engine, second.engine:
            for trigger in triggers:
                run = await first.engine.wait_for_run(trigger.run_ids[0], 60)
                assert run.status == "completed"

            async def no_command_is_left() -> bool:
                return await opened.fetchval("SELECT count(*) FROM pulse_outbox") == 0

            await eventually(no_command_is_left)
    finally:
        await opened.close()
    assert sum(probe.call_count for probe in probes) == ROUNDS


async def test_disable_against_update(idle_pulse: PulseTest) -> None:
    """An update that read the definition before it was disabled does not enable it again."""
    idle_pulse.action("work")
    definition = await idle_pulse.define("race", "work")
    for number in range(ROUNDS):
        await idle_pulse.engine.enable_workflow(definition.id)
        updated, _ = await asyncio.gather(
            idle_pulse.engine.update_workflow(definition.id, {"name": f"name {number}"}),
            idle_pulse.engine.disable_workflow(definition.id),
        )
        found = await idle_pulse.engine.get_workflow(definition.id)
        assert found is not None
        assert (found.name, found.is_enabled) == (f"name {number}", False), updated
