"""Lists of signals, the chains that they are part of, and what a search finds."""

from __future__ import annotations

import pytest

from pulse_temporal import InvalidInputError, NotFoundError, WorkflowContext
from tests.harness import SOURCE, TENANT, PulseTest


async def test_a_list_of_signals_tells_what_each_has_started(pulse: PulseTest) -> None:
    pulse.signal("unheard")
    await pulse.define("order.paid")
    await pulse.define("order.paid")
    heard = await pulse.emit("order.paid", resource_type="order", resource_id="o-1")
    for run_id in heard.run_ids:
        await pulse.engine.wait_for_run(run_id)
    await pulse.engine.replay(heard.id)
    unheard = await pulse.emit("unheard", environment="production")
    list_signals = pulse.engine.list_signals

    page = await list_signals(tenant_id=TENANT)

    assert [signal.id for signal in page] == [unheard.id, heard.id]
    newest, first = page
    assert (newest.runs, newest.replays, newest.environment) == (0, 0, "production")
    assert (first.runs, first.replays) == (2, 2)
    assert (first.resource_type, first.resource_id) == ("order", "o-1")
    for wanted, expected in (
        ({"type": "unheard"}, [unheard.id]),
        ({"is_matched": True}, [heard.id]),
        ({"is_matched": False}, [unheard.id]),
        ({"resource_id": "o-1"}, [heard.id]),
        ({"resource_id": "o-1", "type": "unheard"}, []),
        ({"environment": "production"}, [unheard.id]),
        ({"source": "elsewhere"}, []),
        ({"created_before": heard.created_at}, []),
        ({"created_after": unheard.created_at}, [unheard.id]),
    ):
        found = await list_signals(tenant_id=TENANT, **wanted)  # pyright: ignore[reportArgumentType] - any field
        assert [signal.id for signal in found] == expected, wanted
    one = await list_signals(tenant_id=TENANT, limit=1)
    other = await list_signals(tenant_id=TENANT, limit=1, cursor=one.next_cursor)
    assert [signal.id for signal in (*one, *other)] == [unheard.id, heard.id]
    assert other.next_cursor is None
    with pytest.raises(InvalidInputError, match="tenant_id"):
        await list_signals()


async def test_a_chain_is_told_as_a_tree_from_whichever_of_its_signals(pulse: PulseTest) -> None:
    emitted: list[str] = []
    pulse.signal("second")

    @pulse.engine.action("announce")
    async def announce(ctx: WorkflowContext) -> None:
        signal = {"source": SOURCE, "type": "second"}
        emitted.extend([(await ctx.emit(signal)).id for _ in range(2)])

    await pulse.define("second")
    await pulse.define("first", "announce")
    await pulse.define("first")
    root = await pulse.emit("first")
    for run_id in root.run_ids:
        await pulse.engine.wait_for_run(run_id)

    chain = await pulse.engine.signal_chain(root.id, tenant_id=TENANT)

    assert (chain.root.id, chain.nodes, chain.is_cut) == (root.id, 7, False)
    assert [run.id for run in chain.root.runs] == list(root.run_ids)
    announcing, other = chain.root.runs
    assert [signal.id for signal in announcing.signals] == emitted
    assert other.signals == ()
    assert [len(signal.runs) for signal in announcing.signals] == [1, 1]
    for run_id in [run.id for signal in announcing.signals for run in signal.runs]:
        await pulse.engine.wait_for_run(run_id)
    of_last = await pulse.engine.signal_chain(emitted[-1])
    assert of_last.root.id == root.id
    assert of_last.nodes == 7
    with pytest.raises(NotFoundError):
        await pulse.engine.signal_chain(root.id, tenant_id="another")


async def test_a_search_finds_by_ids_keys_and_names(pulse: PulseTest) -> None:
    pulse.action("send_50%_coupon")
    definition = await pulse.define("order.paid", "send_50%_coupon", name="Order paid")
    trigger = await pulse.emit("order.paid", resource_id="o-1", idempotency_key="key-1")
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])
    (step,) = await pulse.engine.get_run_steps(run.id)

    async def found(text: str) -> list[tuple[str, str, str]]:
        results = await pulse.engine.search(text, tenant_id=TENANT)
        return [(each.kind, each.id, each.matched_by) for each in results]

    assert await found(run.id) == [("run", run.id, "id")]
    assert await found(f" {trigger.id} ") == [("signal", trigger.id, "id")]
    assert await found(definition.id) == [("definition", definition.id, "id")]
    assert await found(step.id) == [("step", step.id, "id")]
    (told,) = await pulse.engine.search(step.id, tenant_id=TENANT)
    assert (told.run_id, told.path, told.title) == (run.id, "0", "send_50%_coupon")
    assert ("run", run.id, "id_prefix") in await found(run.id[:12])
    assert await found(run.id[:7]) == [], "a prefix has eight characters at least"
    assert await found("key-1") == [("signal", trigger.id, "idempotency_key")]
    assert await found("o-1") == [("signal", trigger.id, "resource_id")]
    assert await found("order P") == [("definition", definition.id, "definition_name")]
    assert await found("SEND_50%") == [("definition", definition.id, "step_name")]
    assert await found("send_50_") == [], "a wildcard of SQL is none of ours"
    assert await found("") == []


async def test_operators_see_tenants_and_workers(pulse: PulseTest) -> None:
    gate = pulse.gate("work")
    pulse.action("fail", fails=9)
    await pulse.define("order.paid", "work", tenant_id="acme")
    await pulse.define("order.late", "fail", tenant_id="globex")
    trigger = await pulse.emit("order.paid", tenant_id="acme")
    await gate.reached()
    await pulse.emit_and_wait("order.late", tenant_id="globex")

    acme, globex = await pulse.engine.list_tenants()
    (worker,) = await pulse.engine.list_workers()

    assert (acme.id, acme.definitions.count, acme.runs.count, acme.open.count) == ("acme", 1, 1, 1)
    assert (globex.id, globex.runs.count, globex.failed.count) == ("globex", 1, 1)
    assert globex.open.count == 0
    assert worker.is_live
    assert worker.in_work.count == 1
    assert worker.task_queue == pulse.engine.options.task_queue
    first = await pulse.engine.list_tenants(limit=1)
    second = await pulse.engine.list_tenants(limit=1, cursor=first.next_cursor)
    assert [tenant.id for tenant in (*first, *second)] == ["acme", "globex"]
    assert second.next_cursor is None
    gate.open()
    await pulse.engine.wait_for_run(trigger.run_ids[0])
