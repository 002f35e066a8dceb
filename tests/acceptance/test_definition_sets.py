"""Sets of definitions: plan, apply, drift, prune."""

from __future__ import annotations

import pytest

from pulse_temporal import DefinitionError, DefinitionsPlan, InvalidInputError
from tests.harness import PulseTest

SET = "shop"


def document(key: str, *, tenant: str = "acme", **fields: object) -> dict[str, object]:
    return {
        "tenantId": tenant,
        "key": key,
        "name": f"The {key}",
        "triggerType": "order.paid",
        "steps": [{"type": "delay", "name": "wait", "delayMs": 1000}],
        **fields,
    }


def actions(plan: DefinitionsPlan) -> list[tuple[str, str]]:
    return [(change.key, change.action) for change in plan.changes]


async def apply(
    pulse: PulseTest, *documents: dict[str, object], prune: bool = False, force: bool = False
) -> DefinitionsPlan:
    return await pulse.engine.apply_definitions(documents, set_name=SET, prune=prune, force=force)


async def plan(pulse: PulseTest, *documents: dict[str, object]) -> DefinitionsPlan:
    return await pulse.engine.plan_definitions(documents, set_name=SET)


async def id_of(pulse: PulseTest, key: str, *, tenant: str = "acme") -> str:
    found = [each async for each in pulse.engine.definitions.iterate(tenant_id=tenant)]
    return next(each.id for each in found if each.key == key)


async def test_after_apply_a_plan_has_nothing_to_do(idle_pulse: PulseTest) -> None:
    first, second = document("a"), document("b", tenant="beta")
    planned = await plan(idle_pulse, first, second)
    assert actions(planned) == [("a", "create"), ("b", "create")]
    assert not (await idle_pulse.engine.list_workflows()).items

    applied = await apply(idle_pulse, first, second)
    assert (applied.is_applied, actions(applied)) == (True, actions(planned))
    again = await plan(idle_pulse, first, second)
    assert actions(again) == [("a", "none"), ("b", "none")]
    assert again.is_empty


async def test_a_change_says_what_differs_and_makes_one_version(idle_pulse: PulseTest) -> None:
    await apply(idle_pulse, document("a"), document("b"))
    changed = document("a", name="Other")

    applied = await apply(idle_pulse, changed, document("b"))

    assert actions(applied) == [("a", "update"), ("b", "none")]
    (field,) = applied.changes[0].difference.fields
    assert (field.field, field.old, field.new) == ("name", "The a", "Other")
    stored = await idle_pulse.engine.get_workflow(await id_of(idle_pulse, "a"))
    assert stored is not None
    assert (stored.name, stored.version) == ("Other", 2)


async def test_what_was_changed_by_hand_is_overwritten_only_with_force(
    idle_pulse: PulseTest,
) -> None:
    await apply(idle_pulse, document("a"))
    by_hand = await id_of(idle_pulse, "a")
    await idle_pulse.engine.update_workflow(by_hand, {"name": "By hand"})

    drifted = await apply(idle_pulse, document("a"))
    assert actions(drifted) == [("a", "drift")]
    assert "was changed" in str(drifted.changes[0].drift)
    kept = await idle_pulse.engine.get_workflow(by_hand)
    assert kept is not None
    assert kept.name == "By hand"

    forced = await apply(idle_pulse, document("a"), force=True)
    assert actions(forced) == [("a", "update")]
    assert (await plan(idle_pulse, document("a"))).is_empty


async def test_a_hand_that_undid_its_change_is_no_drift(idle_pulse: PulseTest) -> None:
    await apply(idle_pulse, document("a"))
    by_hand = await id_of(idle_pulse, "a")
    for name in ("By hand", "The a"):
        await idle_pulse.engine.update_workflow(by_hand, {"name": name})
    await apply(idle_pulse, document("a"))
    assert actions(await plan(idle_pulse, document("a", name="New"))) == [("a", "update")]


async def test_what_somebody_has_disabled_stays_so_unless_the_set_says_otherwise(
    idle_pulse: PulseTest,
) -> None:
    await apply(idle_pulse, document("a"))
    by_hand = await id_of(idle_pulse, "a")
    await idle_pulse.engine.disable_workflow(by_hand)

    assert (await plan(idle_pulse, document("a"))).is_empty
    assert actions(await plan(idle_pulse, document("a", isEnabled=True))) == [("a", "drift")]
    await apply(idle_pulse, document("a", name="New"))
    stored = await idle_pulse.engine.get_workflow(by_hand)
    assert stored is not None
    assert (stored.name, stored.is_enabled) == ("New", False)


async def test_prune_deletes_only_those_of_its_set(idle_pulse: PulseTest) -> None:
    await idle_pulse.engine.create_workflow(document("by-hand"))
    await idle_pulse.engine.apply_definitions([document("other")], set_name="other")
    await apply(idle_pulse, document("a"), document("b"), document("c", tenant="beta"))

    kept = await apply(idle_pulse, document("a"))
    assert actions(kept) == [("a", "none")]
    pruned = await apply(idle_pulse, document("a"), prune=True)

    assert actions(pruned) == [("a", "none"), ("b", "delete"), ("c", "delete")]
    left = [each.key async for each in idle_pulse.engine.definitions.iterate()]
    assert sorted(map(str, left)) == ["a", "by-hand", "other"]


async def test_what_is_of_another_set_or_of_none_is_taken_over_only_with_force(
    idle_pulse: PulseTest,
) -> None:
    await idle_pulse.engine.put_workflow(document("a"))
    await idle_pulse.engine.apply_definitions([document("b")], set_name="other")
    new = [document(key, name="New") for key in ("a", "b")]

    drifted = await plan(idle_pulse, *new)
    assert [change.drift for change in drifted.changes] == [
        "is of no set; somebody else stores it",
        "is of the set 'other'",
    ]
    await apply(idle_pulse, *new, force=True)
    assert (await plan(idle_pulse, *new)).is_empty
    other = await idle_pulse.engine.plan_definitions([], set_name="other", prune=True)
    assert not other.changes


async def test_one_mistake_changes_nothing_and_all_of_them_are_told(
    idle_pulse: PulseTest,
) -> None:
    documents = [
        document("a"),
        document("b", steps=[{"type": "delay", "name": "wait", "delayMs": -1}]),
        document("a"),
        {**document("d"), "key": None},
    ]

    planned = await plan(idle_pulse, *documents)
    with pytest.raises(DefinitionError) as refused:
        await apply(idle_pulse, *documents)

    assert refused.value.problems == planned.problems
    assert [problem.pointer for problem in planned.problems] == [
        "/1/steps/0/delayMs",
        "/2/key",
        "/3/key",
    ]
    assert not (await idle_pulse.engine.list_workflows()).items


async def test_the_view_of_a_tenant_prunes_no_other(idle_pulse: PulseTest) -> None:
    await apply(idle_pulse, document("a"), document("b", tenant="beta"))
    acme = idle_pulse.engine.for_tenant("acme")

    pruned = await acme.definitions.apply([], set_name=SET, prune=True)

    assert actions(pruned) == [("a", "delete")]
    with pytest.raises(InvalidInputError, match="beta"):
        await acme.definitions.plan([document("b", tenant="beta")], set_name=SET)


async def test_a_cron_that_is_applied_gets_its_schedule(idle_pulse: PulseTest) -> None:
    await apply(idle_pulse, document("a", cronExpression="@daily"))
    assert await idle_pulse.engine.next_runs(await id_of(idle_pulse, "a"), 1)


async def test_a_set_has_a_name(idle_pulse: PulseTest) -> None:
    with pytest.raises(InvalidInputError, match="name of a set"):
        await idle_pulse.engine.plan_definitions([], set_name="")
