"""Tenants share an engine and never meet."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from pulse_temporal import NotFoundError, RunFilter
from tests.harness import PulseTest

ME = "tenant-a"
OTHER = "tenant-b"


@dataclass
class Scene:
    """What one tenant has: a definition, a signal, and a run that is at work."""

    pulse: PulseTest
    definition_id: str
    trigger_id: str
    run_id: str


@pytest.fixture
async def scene(pulse: PulseTest) -> AsyncGenerator[Scene]:
    """Yield a tenant in the middle of a run."""
    gate = pulse.gate("work")
    definition = await pulse.define("order.paid", "work", tenant_id=ME)
    trigger = await pulse.emit("order.paid", tenant_id=ME)
    await gate.reached()
    yield Scene(pulse, definition.id, trigger.id, trigger.run_ids[0])
    gate.open()
    await pulse.engine.wait_for_run(trigger.run_ids[0])


async def test_a_signal_starts_definitions_of_its_own_tenant_only(pulse: PulseTest) -> None:
    mine = await pulse.define("order.paid", tenant_id=ME)
    theirs = await pulse.define("order.paid", tenant_id=OTHER)

    run = await pulse.emit_and_wait("order.paid", tenant_id=ME)

    assert (run.tenant_id, run.definition_id) == (ME, mine.id)
    assert (await pulse.engine.list_runs(RunFilter(definition_id=theirs.id))).items == ()


async def test_tenants_whose_names_begin_alike_are_different(pulse: PulseTest) -> None:
    await pulse.define("order.paid", tenant_id="acme")

    for name in ("acme2", "ACME", "acme ", "acm_"):
        assert (await pulse.emit("order.paid", tenant_id=name)).run_ids == ()


async def test_runs_of_two_tenants_know_nothing_of_each_other(pulse: PulseTest) -> None:
    pay = pulse.action("pay")
    for tenant_id in (ME, OTHER):
        await pulse.define("order.paid", "pay", tenant_id=tenant_id, config={"of": tenant_id})

    for tenant_id in (ME, OTHER):
        await pulse.emit_and_wait("order.paid", {"of": tenant_id}, tenant_id=tenant_id)

    seen = [(ctx.tenant_id, ctx.config["of"], ctx.trigger.payload["of"]) for ctx in pay.calls]
    assert seen == [(ME, ME, ME), (OTHER, OTHER, OTHER)]


async def test_another_tenant_sees_no_definition(scene: Scene) -> None:
    engine = scene.pulse.engine

    assert await engine.get_workflow(scene.definition_id, tenant_id=OTHER) is None
    assert (await engine.list_workflows(tenant_id=OTHER)).items == ()
    assert await engine.get_workflow(scene.definition_id, tenant_id=ME) is not None
    assert len((await engine.list_workflows(tenant_id=ME)).items) == 1


async def test_another_tenant_sees_no_run(scene: Scene) -> None:
    engine = scene.pulse.engine

    assert await engine.get_run(scene.run_id, tenant_id=OTHER) is None
    for ask in (engine.get_run_steps, engine.get_run_timeline, engine.get_run_logs):
        with pytest.raises(NotFoundError):
            await ask(scene.run_id, tenant_id=OTHER)
    assert (await engine.list_runs(RunFilter(tenant_id=OTHER))).items == ()


async def test_another_tenant_sees_no_signal(scene: Scene) -> None:
    engine = scene.pulse.engine

    assert await engine.get_trigger(scene.trigger_id, tenant_id=OTHER) is None
    assert (await engine.get_runs_by_trigger(scene.trigger_id, tenant_id=OTHER)).items == ()


async def test_the_tenant_itself_sees_everything(scene: Scene) -> None:
    engine = scene.pulse.engine

    assert await engine.get_run(scene.run_id, tenant_id=ME) is not None
    assert len(await engine.get_run_steps(scene.run_id, tenant_id=ME)) == 1
    assert await engine.get_run_timeline(scene.run_id, tenant_id=ME) != []
    assert len((await engine.list_runs(RunFilter(tenant_id=ME))).items) == 1
    assert await engine.get_trigger(scene.trigger_id, tenant_id=ME) is not None
    assert len((await engine.get_runs_by_trigger(scene.trigger_id, tenant_id=ME)).items) == 1


async def test_another_tenant_changes_no_definition(scene: Scene) -> None:
    engine = scene.pulse.engine
    before = await engine.get_workflow(scene.definition_id)

    with pytest.raises(NotFoundError):
        await engine.update_workflow(scene.definition_id, {"name": "Mine"}, tenant_id=OTHER)
    with pytest.raises(NotFoundError):
        await engine.disable_workflow(scene.definition_id, tenant_id=OTHER)
    with pytest.raises(NotFoundError):
        await engine.enable_workflow(scene.definition_id, tenant_id=OTHER)
    with pytest.raises(NotFoundError):
        await engine.delete_workflow(scene.definition_id, tenant_id=OTHER)

    assert await engine.get_workflow(scene.definition_id) == before


async def test_another_tenant_cannot_cancel_a_run(scene: Scene) -> None:
    with pytest.raises(NotFoundError):
        await scene.pulse.engine.cancel_run(scene.run_id, tenant_id=OTHER)

    run = await scene.pulse.engine.get_run(scene.run_id)
    assert run is not None
    assert run.status == "running"


async def test_another_tenant_cannot_learn_how_a_run_ended(pulse: PulseTest) -> None:
    await pulse.define("order.paid", tenant_id=ME)
    run = await pulse.emit_and_wait("order.paid", tenant_id=ME)

    with pytest.raises(TimeoutError):
        await pulse.engine.wait_for_run(run.id, 0.5, tenant_id=OTHER)
