"""The recorded results of a run have a bound altogether; the step that would pass it says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from pulse_temporal import WorkflowContext
from pulse_temporal.config import Limits
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, parallel
from tests.harness import PulseTest, make_pulse

LARGE = {"v": "x" * 4_000}
LIMIT = 10_000


@pytest.fixture
async def narrow(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine whose runs may record ten thousand bytes."""
    made = make_pulse(database, servers.temporal_address, limits=Limits(context_bytes=LIMIT))
    await made.engine.start()
    yield made
    await made.engine.stop()


async def recorded(connection: asyncpg.Connection, run_id: str) -> int:
    """Return the bytes of a run's results altogether, as they were recorded."""
    return await connection.fetchval(
        "SELECT sum(result_bytes) FROM pulse_workflow_step_runs WHERE run_id = $1", run_id
    )


async def test_the_step_whose_result_has_no_room_fails_for_good(
    narrow: PulseTest, connection: asyncpg.Connection
) -> None:
    act = narrow.action("act", returns=LARGE)
    policy = {"maxAttempts": 3, "backoffMs": 100}
    names = ("first", "second", "third", "fourth")
    await narrow.define("grow", *(action(name, uses="act", retryPolicy=policy) for name in names))

    run = await narrow.emit_and_wait("grow")

    assert (run.status, act.call_count) == ("failed", 3)
    message = (await narrow.steps(run.id))["2"].error_message or ""
    assert "would make the run's context larger than 10000 bytes" in message
    assert "limits.context_bytes" in message
    assert 8_000 < await recorded(connection, run.id) <= LIMIT


async def test_a_step_without_a_result_always_has_room(narrow: PulseTest) -> None:
    narrow.action("act", returns={"v": "x" * (LIMIT - 20)})
    narrow.action("silent")
    await narrow.define("grow", "act", "silent")

    assert (await narrow.emit_and_wait("grow")).status == "completed"


async def test_results_of_branches_count(narrow: PulseTest) -> None:
    narrow.action("act", returns=LARGE)
    branches = [[action(f"{name}{number}", uses="act") for number in range(2)] for name in "ab"]
    await narrow.define("grow", parallel("both", *branches))

    run = await narrow.emit_and_wait("grow")

    assert run.status == "failed"
    assert "larger than 10000 bytes" in (run.error_message or "")


async def test_the_effect_of_a_transactional_action_without_room_is_undone(
    narrow: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute("CREATE TABLE effects (step text)")

    @narrow.engine.action("act", transactional=True)
    async def act(ctx: WorkflowContext) -> dict[str, str]:
        await ctx.connection.execute("INSERT INTO effects VALUES ($1)", ctx.step.path)
        return LARGE

    await narrow.define("grow", *(action(name, uses="act") for name in ("one", "two", "three")))

    run = await narrow.emit_and_wait("grow")

    assert run.status == "failed"
    assert await connection.fetchval("SELECT count(*) FROM effects") == 2


async def test_a_replay_has_room_for_what_the_original_recorded(
    narrow: PulseTest, connection: asyncpg.Connection
) -> None:
    narrow.action("act", returns=LARGE)
    await narrow.define("grow", *(action(name, uses="act") for name in ("one", "two")))
    original = await narrow.emit_and_wait("grow")

    (planned,) = await narrow.engine.replay(original.trigger_id)

    replay = await narrow.engine.wait_for_run(planned.id)
    assert replay.status == "completed"
    assert await recorded(connection, replay.id) == await recorded(connection, original.id)
