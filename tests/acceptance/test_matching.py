"""Which definitions a signal starts, and which definition a run follows."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.harness import TENANT, PulseTest


async def test_a_signal_starts_every_definition_that_matches_oldest_first(
    pulse: PulseTest,
) -> None:
    pulse.action("notify")
    definitions = [
        await pulse.define("order.paid", "notify", name=f"Definition {number}")
        for number in range(3)
    ]

    trigger = await pulse.emit("order.paid")

    runs = [await pulse.engine.wait_for_run(run_id) for run_id in trigger.run_ids]
    assert [run.definition_id for run in runs] == [definition.id for definition in definitions]
    assert {run.status for run in runs} == {"completed"}


async def test_a_signal_that_nothing_matches_is_stored_all_the_same(pulse: PulseTest) -> None:
    pulse.signal("order.paid")

    trigger = await pulse.emit("order.paid", {"order": "o-1"})

    assert trigger.run_ids == ()
    stored = await pulse.engine.get_trigger(trigger.id)
    assert stored == trigger


async def test_signals_of_another_type_start_nothing(pulse: PulseTest) -> None:
    pulse.action("notify")
    await pulse.define("order.paid", "notify")
    pulse.signal("order.refunded")

    trigger = await pulse.emit("order.refunded")

    assert trigger.run_ids == ()


@pytest.mark.parametrize(
    ("environment", "starts"), [("production", True), ("staging", False), (None, False)]
)
async def test_an_environment_filter_lets_only_its_own_environment_through(
    pulse: PulseTest, environment: str | None, starts: bool
) -> None:
    await pulse.define("order.paid", environmentFilter="production")

    trigger = await pulse.emit("order.paid", environment=environment)

    assert bool(trigger.run_ids) is starts


@pytest.mark.parametrize(
    ("resource_type", "starts"), [("service", True), ("server", False), (None, False)]
)
async def test_a_resource_type_filter_lets_only_its_own_type_through(
    pulse: PulseTest, resource_type: str | None, starts: bool
) -> None:
    await pulse.define("order.paid", resourceTypeFilter="service")

    trigger = await pulse.emit("order.paid", resourceType=resource_type)

    assert bool(trigger.run_ids) is starts


async def test_with_two_filters_a_signal_must_pass_both(pulse: PulseTest) -> None:
    await pulse.define("order.paid", environmentFilter="production", resourceTypeFilter="service")

    half = await pulse.emit("order.paid", environment="production", resourceType="server")
    both = await pulse.emit("order.paid", environment="production", resourceType="service")

    assert (len(half.run_ids), len(both.run_ids)) == (0, 1)


async def test_a_definition_without_filters_takes_signals_from_everywhere(
    pulse: PulseTest,
) -> None:
    await pulse.define("order.paid")

    trigger = await pulse.emit("order.paid", environment="staging", resourceType="server")

    assert len(trigger.run_ids) == 1


async def test_a_disabled_definition_starts_nothing_until_it_is_enabled(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid")

    await pulse.engine.disable_workflow(definition.id)
    while_disabled = await pulse.emit("order.paid")
    await pulse.engine.enable_workflow(definition.id)
    while_enabled = await pulse.emit("order.paid")

    assert (len(while_disabled.run_ids), len(while_enabled.run_ids)) == (0, 1)


async def test_a_definition_may_be_stored_disabled(pulse: PulseTest) -> None:
    await pulse.define("order.paid", isEnabled=False)

    trigger = await pulse.emit("order.paid")

    assert trigger.run_ids == ()


async def test_a_deleted_definition_starts_nothing(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid")

    await pulse.engine.delete_workflow(definition.id)

    assert (await pulse.emit("order.paid")).run_ids == ()


@pytest.mark.parametrize("change", ["update", "disable", "delete"])
async def test_a_run_keeps_the_definition_that_it_started_with(
    pulse: PulseTest, change: Literal["update", "disable", "delete"]
) -> None:
    """What happens to a definition reaches the runs of later signals only."""
    gate = pulse.gate("wait")
    receipt = pulse.action("receipt")
    other = pulse.action("other")
    definition = await pulse.define("order.paid", "wait", "receipt", config={"currency": "EUR"})
    trigger = await pulse.emit("order.paid")
    await gate.reached()

    if change == "update":
        steps = [{"type": "action", "name": "other"}]
        await pulse.engine.update_workflow(
            definition.id, {"steps": steps, "config": {"currency": "USD"}}
        )
    elif change == "disable":
        await pulse.engine.disable_workflow(definition.id)
    else:
        await pulse.engine.delete_workflow(definition.id)
    gate.open()
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"
    assert run.definition_snapshot.version == 1
    assert (receipt.call_count, other.call_count) == (1, 0)
    assert receipt.calls[0].config == {"currency": "EUR"}


async def test_an_updated_definition_takes_effect_with_the_next_signal(pulse: PulseTest) -> None:
    first = pulse.action("first")
    second = pulse.action("second")
    definition = await pulse.define("order.paid", "first")

    await pulse.engine.update_workflow(
        definition.id, {"steps": [{"type": "action", "name": "second"}]}
    )
    run = await pulse.emit_and_wait("order.paid")

    assert run.definition_snapshot.version == 2
    assert (first.call_count, second.call_count) == (0, 1)


async def test_a_definition_moved_to_another_signal_type_leaves_the_old_one(
    pulse: PulseTest,
) -> None:
    definition = await pulse.define("order.paid")
    pulse.signal("order.refunded")

    await pulse.engine.update_workflow(definition.id, {"triggerType": "order.refunded"})

    paid = await pulse.emit("order.paid")
    refunded = await pulse.emit("order.refunded")
    assert (len(paid.run_ids), len(refunded.run_ids)) == (0, 1)


async def test_a_definition_without_steps_completes_at_once(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert run.context == {}
    assert await pulse.timeline(run.id) == ["run_created", "run_completed"]


async def test_a_run_tells_where_it_comes_from(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid", name="Ship it")

    trigger = await pulse.emit("order.paid")
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert (run.tenant_id, run.trigger_id) == (TENANT, trigger.id)
    assert (run.definition_id, run.definition_snapshot.name) == (definition.id, "Ship it")
    assert (run.generation, run.is_replay, run.is_dry_run) == (1, False, False)
    assert (
        run.created_at
        <= (run.started_at or run.created_at)
        <= (run.completed_at or run.created_at)
    )
