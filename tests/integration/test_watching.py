"""A run that is watched: each change is told, to whoever may see it, with one poller for all."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from pulse_temporal import NotFoundError
from pulse_temporal.model.views import RunView
from tests.harness import TENANT, PulseTest


async def test_a_watcher_sees_the_run_until_it_is_over(pulse: PulseTest) -> None:
    gate = pulse.gate("ship")
    await pulse.define("order.paid", "ship")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    seen: list[RunView] = []
    async for view in pulse.engine.runs.watch(run_id):
        seen.append(view)
        if view.steps and view.steps[0].status == "running":
            gate.open()
    assert seen[-1].run.status == "completed"
    assert seen[-1].run.steps_done == 1
    assert [view for view, later in pairwise(seen) if view == later] == []


async def test_many_watchers_of_many_runs_see_their_own(pulse: PulseTest) -> None:
    pulse.action("ship")
    await pulse.define("order.paid", "ship")
    triggers = [await pulse.emit("order.paid") for _ in range(5)]

    async def last(run_id: str) -> RunView:
        views = [view async for view in pulse.engine.runs.watch(run_id, tenant_id=TENANT)]
        return views[-1]

    run_ids = [trigger.run_ids[0] for trigger in triggers] * 3
    ends = await asyncio.gather(*(last(run_id) for run_id in run_ids))
    assert [view.run.id for view in ends] == run_ids
    assert {view.run.status for view in ends} == {"completed"}


@pytest.mark.parametrize("run_id", ["run_absent", "", "run_\x00", "run_\ud800"])
async def test_a_run_that_does_not_exist_cannot_be_watched(
    idle_pulse: PulseTest, run_id: str
) -> None:
    with pytest.raises(NotFoundError):
        await anext(idle_pulse.engine.runs.watch(run_id))


async def test_another_tenants_run_does_not_exist(idle_pulse: PulseTest) -> None:
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship", tenant_id="theirs")
    (run_id,) = (await idle_pulse.emit("order.paid", tenant_id="theirs")).run_ids
    mine = idle_pulse.engine.for_tenant(TENANT)
    with pytest.raises(NotFoundError):
        await anext(mine.runs.watch(run_id))
    with pytest.raises(NotFoundError):
        await mine.runs.snapshot(run_id)


async def test_a_watcher_that_follows_sees_a_retry(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")
    seen: list[str] = []
    async for view in pulse.engine.runs.watch(run.id, follow=True):
        seen.append(view.run.status)
        if seen == ["failed"]:
            await pulse.engine.runs.retry(run.id)
        if view.run.status == "completed":
            break
    assert seen[0] == "failed"
    assert seen[-1] == "completed"


async def test_watching_ends_with_the_engine(idle_pulse: PulseTest) -> None:
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    views = idle_pulse.engine.runs.watch(run_id)
    await anext(views)
    rest = asyncio.ensure_future(anext(views, None))
    await asyncio.sleep(0)
    await idle_pulse.engine.stop()
    assert await rest is None


async def test_the_frozen_definition_of_a_run_can_be_read(idle_pulse: PulseTest) -> None:
    idle_pulse.action("ship")
    definition = await idle_pulse.define("order.paid", "ship")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    await idle_pulse.engine.update_workflow(definition.id, {"name": "Another name"})
    snapshot = await idle_pulse.engine.runs.snapshot(run_id)
    assert (snapshot.name, snapshot.version) == ("On order.paid", 1)
    assert [step.name for step in snapshot.steps] == ["ship"]
