"""`engine.signals`, `engine.definitions`, `engine.runs`: one grammar for all that is kept."""

from __future__ import annotations

import asyncio

import pytest

from pulse_temporal import (
    BlockingEngine,
    BlockingTenant,
    Engine,
    NotFoundError,
    TenantEngine,
    WorkflowRun,
)
from pulse_temporal.testing import delay
from tests.harness import SOURCE, TENANT, PulseTest

DEFINITION = {"name": "Orders", "triggerType": "t", "steps": [{"type": "action", "name": "pay"}]}
SIGNAL = {"source": SOURCE, "type": "t"}


def ids(runs: list[WorkflowRun]) -> list[str]:
    return [run.id for run in runs]


@pytest.mark.parametrize("of_tenant", [False, True], ids=["engine", "tenant"])
async def test_a_signal_its_runs_and_their_definition(pulse: PulseTest, of_tenant: bool) -> None:
    pulse.action("pay", fails=1)
    pulse.signal("t")
    own = {} if of_tenant else {"tenantId": TENANT}
    view: Engine | TenantEngine = pulse.engine.for_tenant(TENANT) if of_tenant else pulse.engine

    assert (await view.definitions.validate({**DEFINITION, **own})).problems == ()
    definition = await view.definitions.create({**DEFINITION, **own})
    trigger = await view.signals.emit({**SIGNAL, **own})
    (run_id,) = trigger.run_ids
    failed = await view.runs.wait(run_id)
    retried = await view.runs.wait((await view.runs.retry(run_id)).id)

    assert (failed.status, retried.status) == ("failed", "completed")
    assert await view.signals.get(trigger.id) == trigger
    assert await view.definitions.get(definition.id) == definition
    assert [step.status for step in await view.runs.steps(run_id)] == ["completed"]
    assert len(await view.runs.attempts(run_id)) == 2
    assert (await view.runs.timeline(run_id))[-1].type == "run_completed"
    assert await view.runs.logs(run_id) == []
    (replayed,) = await view.signals.replay(trigger.id, dry_run=True)
    assert ids([*(await view.runs.list()).items]) == [replayed.id, run_id]
    assert (await view.runs.list(status="failed")).items == ()


async def test_a_definition_is_changed_and_deleted(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    idle_pulse.signal("t")
    put = await definitions.put(
        {"tenantId": TENANT, "name": "N", "triggerType": "t", "steps": []}, key="n"
    )
    definition_id = put.definition.id
    assert (await definitions.update(definition_id, {"name": "M"})).name == "M"
    await definitions.disable(definition_id)
    assert (await definitions.list(is_enabled=True)).items == ()
    await definitions.enable(definition_id)
    assert await definitions.next_times(definition_id) == []
    await definitions.delete(definition_id)
    with pytest.raises(NotFoundError):
        await definitions.enable(definition_id)


async def test_a_run_is_canceled(pulse: PulseTest) -> None:
    await pulse.define("t", delay("wait", 60_000))
    (run_id,) = (await pulse.emit("t")).run_ids
    run = await pulse.engine.runs.cancel(run_id, "not wanted", by="ann@example.com")
    assert (run.status, run.cancel_reason) == ("canceled", "not wanted")


@pytest.mark.parametrize("of_tenant", [False, True], ids=["engine", "tenant"])
async def test_code_that_is_not_async_has_the_same_namespaces(
    pulse: PulseTest, of_tenant: bool
) -> None:
    pulse.action("pay")
    pulse.signal("t")
    blocking = pulse.engine.blocking

    def work(view: BlockingEngine | BlockingTenant) -> None:
        view.definitions.create({"tenantId": TENANT, **DEFINITION})
        first, second = view.signals.emit_many([{"tenantId": TENANT, **SIGNAL}] * 2)
        for trigger in (first, second):
            assert view.runs.wait(trigger.run_ids[0]).status == "completed"
        newest_first = [*second.run_ids, *first.run_ids]
        assert ids([*view.runs.iterate(page_size=1)]) == newest_first
        assert len([*view.definitions.iterate(trigger_type="t")]) == 1

    await asyncio.to_thread(work, blocking.for_tenant(TENANT) if of_tenant else blocking)


async def test_a_page_is_read_like_a_list(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("t")
    emitted = [(await idle_pulse.emit("t")).run_ids[0] for _ in range(3)]
    runs = idle_pulse.engine.runs

    page = await runs.list(limit=2)
    rest = await runs.list(limit=2, cursor=page.next_cursor)

    assert (len(page), len(rest)) == (2, 1)
    assert [run.id for each in (page, rest) for run in each] == emitted[::-1]
    assert len(await runs.list(status="failed")) == 0
    assert page == await runs.list(limit=2)
    assert type(page).model_validate_json(page.model_dump_json()) == page


async def test_all_runs_of_a_list_are_read_page_by_page(idle_pulse: PulseTest) -> None:
    """A run that leaves the list while it is read moves no other."""
    await idle_pulse.define("t")
    await idle_pulse.define("other", tenant_id="globex")
    emitted = [(await idle_pulse.emit("t")).run_ids[0] for _ in range(7)]
    await idle_pulse.engine.emit({"tenantId": "globex", "source": SOURCE, "type": "other"})
    runs = idle_pulse.engine.runs

    found: list[str] = []
    async for run in runs.iterate(tenant_id=TENANT, status=["pending", "running"], page_size=3):
        found.append(run.id)
        await runs.cancel(run.id)

    assert found == emitted[::-1]
    acme = idle_pulse.engine.for_tenant(TENANT)
    assert ids([run async for run in acme.runs.iterate(page_size=2)]) == emitted[::-1]
