"""A view of the engine for one tenant: it needs no tenant's id, and cannot leave its tenant."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping

import pytest

from pulse_temporal import (
    Engine,
    InvalidInputError,
    NotFoundError,
    RunFilter,
    TriggerEnvelope,
    TriggerInput,
    WorkflowInput,
)
from pulse_temporal.engine.blocking import BlockingTenant
from pulse_temporal.engine.tenant import TenantEngine
from tests.harness import SOURCE, PulseTest

OF_THE_WHOLE_ENGINE = {
    *("start", "stop", "migrate", "reconcile", "check_health"),
    *("list_workers", "list_tenants", "authenticate_api_key"),
    *("create_login_link", "spend_login_link", "begin_session", "authenticate_session"),
    *("list_sessions", "end_session", "is_anybody_known"),
}

Call = Callable[[TenantEngine, Mapping[str, str]], Awaitable[object]]

CALLS: dict[str, Call] = {
    "update_workflow": lambda view, other: view.update_workflow(
        other["definition"], {"name": "x"}
    ),
    "enable_workflow": lambda view, other: view.enable_workflow(other["definition"]),
    "disable_workflow": lambda view, other: view.disable_workflow(other["definition"]),
    "delete_workflow": lambda view, other: view.delete_workflow(other["definition"]),
    "list_versions": lambda view, other: view.list_versions(other["definition"]),
    "restore_version": lambda view, other: view.restore_version(other["definition"], 1),
    "next_runs": lambda view, other: view.next_runs(other["definition"]),
    "cancel_run": lambda view, other: view.cancel_run(other["run"]),
    "retry_run": lambda view, other: view.retry_run(other["run"]),
    "get_run_steps": lambda view, other: view.get_run_steps(other["run"]),
    "get_step_attempts": lambda view, other: view.get_step_attempts(other["run"]),
    "get_run_timeline": lambda view, other: view.get_run_timeline(other["run"]),
    "get_run_logs": lambda view, other: view.get_run_logs(other["run"]),
    "explain": lambda view, other: view.explain(other["trigger"]),
    "replay": lambda view, other: view.replay(other["trigger"]),
    "get_step": lambda view, other: view.get_step(other["run"], "0"),
    "abort_bulk": lambda view, other: view.abort_bulk(other["bulk"]),
    "repeat_bulk": lambda view, other: view.repeat_bulk(other["bulk"]),
    "list_bulk_items": lambda view, other: view.list_bulk_items(other["bulk"]),
    "revoke_api_key": lambda view, other: view.revoke_api_key(other["key"]),
    "rotate_api_key": lambda view, other: view.rotate_api_key(other["key"]),
    "signal_chain": lambda view, other: view.signal_chain(other["trigger"]),
}
"""Calls that act on what another tenant owns, or ask for what belongs to it."""

QUESTIONS: dict[str, Call] = {
    "get_workflow": lambda view, other: view.get_workflow(other["definition"]),
    "get_version": lambda view, other: view.get_version(other["definition"], 1),
    "get_run": lambda view, other: view.get_run(other["run"]),
    "get_trigger": lambda view, other: view.get_trigger(other["trigger"]),
    "get_runs_by_trigger": lambda view, other: view.get_runs_by_trigger(other["trigger"]),
    "get_failed_runs": lambda view, _: view.get_failed_runs(),
    "get_run_view": lambda view, other: view.get_run_view(other["run"]),
    "list_run_summaries": lambda view, _: view.list_run_summaries(),
    "list_run_summaries of a definition": lambda view, other: view.list_run_summaries(
        definition_id=other["definition"]
    ),
    "list_run_summaries of a signal": lambda view, other: view.list_run_summaries(
        trigger_id=other["trigger"]
    ),
    "list_run_summaries of a resource": lambda view, _: view.list_run_summaries(resource_id="r1"),
    "list_run_summaries of a type": lambda view, _: view.list_run_summaries(signal_type="t"),
    "list_bulk": lambda view, _: view.list_bulk(),
    "get_bulk": lambda view, other: view.get_bulk(other["bulk"]),
    "list_api_keys": lambda view, _: view.list_api_keys(),
    "list_audit": lambda view, _: view.list_audit(),
    "list_audit of a definition": lambda view, other: view.list_audit(
        subject_id=other["definition"]
    ),
    "list_failures": lambda view, _: view.list_failures(),
    "list_failures of a definition": lambda view, other: view.list_failures(
        definition_id=other["definition"]
    ),
    "list_signals": lambda view, _: view.list_signals(),
    "list_signals of a type": lambda view, _: view.list_signals(type="t"),
    "list_signals of a resource": lambda view, _: view.list_signals(resource_id="r1"),
    "search of a run": lambda view, other: view.search(other["run"]),
    "search of a part of a run's id": lambda view, other: view.search(other["run"][:14]),
    "search of a signal": lambda view, other: view.search(other["trigger"]),
    "search of a definition": lambda view, other: view.search(other["definition"]),
    "search of a step": lambda view, other: view.search(other["step"]),
    "search of a resource": lambda view, _: view.search("r1"),
    "search of a key": lambda view, _: view.search("k1"),
    "search of a name": lambda view, _: view.search("on t"),
    "search of a step's name": lambda view, _: view.search("FAIL"),
}
"""Calls that get what another tenant owns, or list it."""


async def _of_globex(pulse: PulseTest) -> dict[str, str]:
    """Return the ids of a definition, a signal and a failed run of another tenant."""
    pulse.action("fail", fails=99)
    definition = await pulse.define("t", "fail", tenant_id="globex")
    trigger = await pulse.engine.emit(
        {
            "tenantId": "globex",
            "source": SOURCE,
            "type": "t",
            "resourceId": "r1",
            "idempotencyKey": "k1",
        }
    )
    (run_id,) = trigger.run_ids
    await pulse.engine.wait_for_run(run_id)
    (step,) = await pulse.engine.get_run_steps(run_id)
    key = await pulse.engine.create_api_key("ci", scopes=["runs:read"], tenant_id="globex")
    bulk = await pulse.engine.start_bulk("retry", run_ids=["run_1"], tenant_id="globex")
    return {
        "definition": definition.id,
        "key": key.key.id,
        "bulk": bulk.id,
        "trigger": trigger.id,
        "run": run_id,
        "step": step.id,
    }


async def test_a_customers_request_needs_no_tenants_id(pulse: PulseTest) -> None:
    pulse.action("greet", returns={"said": "hello"})
    pulse.signal("t")
    acme = pulse.engine.for_tenant("acme")
    definition = await acme.create_workflow(
        {"name": "Greet", "triggerType": "t", "steps": [{"type": "action", "name": "greet"}]}
    )
    trigger = await acme.emit({"source": SOURCE, "type": "t"})
    run = await acme.wait_for_run(trigger.run_ids[0])
    assert (definition.tenant_id, trigger.tenant_id, run.tenant_id) == ("acme", "acme", "acme")
    assert [found.id for found in (await acme.list_runs()).items] == [run.id]
    assert [found.id for found in (await acme.list_workflows()).items] == [definition.id]
    assert await acme.get_run(run.id) == run


@pytest.mark.parametrize("other", [None, "globex"])
async def test_what_another_tenant_owns_is_unknown(pulse: PulseTest, other: str | None) -> None:
    """Naming nobody does not widen the view, naming the other tenant is refused."""
    ids = await _of_globex(pulse)
    acme = pulse.engine.for_tenant("acme")
    for name, call in CALLS.items():
        with pytest.raises(NotFoundError):
            await call(acme, ids)
        method = getattr(acme, name)
        kind = NotFoundError if other is None else InvalidInputError
        with pytest.raises(kind):
            await method(next(iter(ids.values())), *_change(name), tenant_id=other)
    for call in QUESTIONS.values():
        found = await call(acme, ids)
        assert not getattr(found, "items", found)
    assert not (await acme.list_runs()).items
    assert not (await acme.list_workflows()).items
    with pytest.raises(TimeoutError):
        await acme.wait_for_run(ids["run"], 0)
    globex = pulse.engine.for_tenant("globex")
    for call in QUESTIONS.values():
        found = await call(globex, ids)
        assert found
        assert getattr(found, "items", True)
    assert (await globex.count_runs()).failed.count == 1
    for wanted in ({}, *OF_GLOBEX):
        named = {name: ids.get(id_, id_) for name, id_ in wanted.items()}
        counts = await acme.count_runs(**named)  # pyright: ignore[reportArgumentType] - any field
        assert {count.count for _, count in counts} == {0}


OF_GLOBEX = (
    {"definition_id": "definition"},
    {"trigger_id": "trigger"},
    {"resource_id": "r1"},
    {"signal_type": "t"},
)


def _change(name: str) -> tuple[object, ...]:
    changes: dict[str, tuple[object, ...]] = {
        "update_workflow": ({"name": "x"},),
        "restore_version": (1,),
        "get_step": ("0",),
    }
    return changes.get(name, ())


async def test_what_names_another_tenant_is_refused(pulse: PulseTest) -> None:
    pulse.signal("t")
    acme = pulse.engine.for_tenant("acme")
    for spelling in ("tenantId", "tenant_id"):
        signal: dict[str, object] = {spelling: "globex", "source": SOURCE, "type": "t"}
        definition: dict[str, object] = {
            spelling: "globex",
            "name": "n",
            "triggerType": "t",
            "steps": [],
        }
        refused: tuple[Awaitable[object], ...] = (
            acme.emit(signal),
            acme.emit_many([signal]),
            acme.emit(TriggerInput.model_validate(signal)),
            acme.create_workflow(definition),
            acme.put_workflow(definition, key="k"),
            acme.validate_workflow(definition),
            acme.create_workflow(WorkflowInput.model_validate(definition)),
            acme.list_runs(RunFilter(tenant_id="globex")),
            acme.list_run_summaries(tenant_id="globex"),
            acme.count_runs(tenant_id="globex"),
            acme.get_run_view("run_x", tenant_id="globex"),
            acme.list_failures(tenant_id="globex"),
            acme.list_signals(tenant_id="globex"),
            acme.search("run_x", tenant_id="globex"),
        )
        for call in refused:
            with pytest.raises(InvalidInputError, match="'acme', not for 'globex'"):
                await call
    assert not (await pulse.engine.list_workflows()).items


@pytest.mark.parametrize("tenant_id", ["", None, 5, "a\0b", "x" * 201])
def test_a_view_needs_a_tenant(pulse: PulseTest, tenant_id: object) -> None:
    """What is no tenant's id must not become "all tenants"."""
    with pytest.raises(InvalidInputError, match="tenant's id"):
        pulse.engine.for_tenant(tenant_id)  # pyright: ignore[reportArgumentType] - what a mistake looks like


async def test_code_that_is_not_async_has_the_same_view(pulse: PulseTest) -> None:
    pulse.signal("t")

    def serve() -> TriggerEnvelope | None:
        acme = pulse.engine.blocking.for_tenant("acme")
        trigger = acme.emit({"source": SOURCE, "type": "t"})
        (second,) = acme.emit_many([{"source": SOURCE, "type": "t"}])
        with pytest.raises(InvalidInputError, match="'globex'"):
            acme.get_trigger(trigger.id, tenant_id="globex")
        assert pulse.engine.blocking.for_tenant("globex").get_trigger(trigger.id) is None
        return acme.get_trigger(second.id)

    found = await asyncio.to_thread(serve)
    assert found is not None
    assert found.tenant_id == "acme"


@pytest.mark.parametrize("view", [TenantEngine, BlockingTenant])
def test_a_view_has_every_method_that_a_tenant_may_need(view: type[object]) -> None:
    of_engine = {
        name
        for name in dir(Engine)
        if not name.startswith("_") and inspect.iscoroutinefunction(getattr(Engine, name))
    }
    assert of_engine - OF_THE_WHOLE_ENGINE <= set(dir(view))
