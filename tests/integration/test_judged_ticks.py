"""Which definitions a tick starts when it comes late, or again."""

from __future__ import annotations

import asyncpg
import pytest

from pulse_temporal.temporal.client import connect
from tests.harness import TENANT, PulseTest
from tests.integration.clocks import Clocks

CLEAN: dict[str, object] = {
    "tenantId": TENANT,
    "name": "a",
    "triggerType": "clean.up",
    "cronExpression": "0 0 29 2 *",
    "steps": [],
}


@pytest.fixture
async def clocks(pulse: PulseTest, connection: asyncpg.Connection) -> Clocks:
    client = await connect(pulse.temporal_address, namespace="default")
    return Clocks(pulse, client, connection)


@pytest.mark.parametrize("change", ["disable", "delete", "clear", "move", "retype"])
async def test_a_tick_that_comes_late_is_judged_by_what_held_at_its_time(
    pulse: PulseTest, clocks: Clocks, change: str
) -> None:
    """Nobody was at work when it came, and then somebody has changed the definition."""
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    await clocks.exists(definition.id)
    await pulse.engine.stop()
    tick = await clocks.start_tick(clocks.handle(definition.id))
    if change == "disable":
        await pulse.engine.disable_workflow(definition.id)
    elif change == "delete":
        await pulse.engine.delete_workflow(definition.id)
    else:
        changes: dict[str, dict[str, object]] = {
            "clear": {"cronExpression": None},
            "move": {"cronExpression": "0 13 * * *"},
            "retype": {"triggerType": "clean.up.now"},
        }
        await pulse.engine.update_workflow(definition.id, changes[change])

    await pulse.engine.start()

    (run_id,) = (await tick.result()).run_ids
    run = await pulse.engine.wait_for_run(run_id)
    assert (run.definition_id, run.status) == (definition.id, "completed")


async def test_the_replay_of_a_tick_runs_what_the_tick_ran(
    pulse: PulseTest, clocks: Clocks
) -> None:
    """Not definitions whose own cron has not ticked."""
    owner = await pulse.define("clean.up", cronExpression="0 12 * * *")
    plain = await pulse.define("clean.up")
    await pulse.define("clean.up", cronExpression="0 12 * * *")
    await clocks.exists(owner.id)
    ticked = await clocks.tick(owner.id)

    runs = await pulse.engine.replay(ticked.trigger_id or "")

    assert [run.definition_id for run in runs] == [owner.id, plain.id]


async def test_the_replay_of_a_signal_that_only_looks_like_a_tick_runs_all(
    pulse: PulseTest,
) -> None:
    pulse.engine.register_trigger("clean.up", source="cron")
    made = [await pulse.engine.create_workflow(each) for each in (CLEAN, CLEAN | {"name": "b"})]
    trigger = await pulse.engine.emit(
        {
            "tenantId": TENANT,
            "source": "cron",
            "type": "clean.up",
            "payload": {"definitionId": made[0].id, "scheduledAt": "2026-03-02T12:00:00Z"},
        }
    )

    runs = await pulse.engine.replay(trigger.id)

    assert [run.definition_id for run in runs] == [each.id for each in made]
