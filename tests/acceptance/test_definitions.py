"""Definitions are data: created, read, changed, listed and deleted at run time."""

from __future__ import annotations

import asyncio

import pytest

from pulse_temporal import (
    ActionStep,
    ConditionStep,
    DefinitionError,
    DelayStep,
    InvalidInputError,
    NotFoundError,
    ParallelStep,
    RetryPolicy,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.testing import condition
from tests.harness import TENANT, PulseTest

CAMEL: dict[str, object] = {
    "tenantId": TENANT,
    "name": "Ship it",
    "description": "What happens\nafter a payment",
    "triggerType": "order.paid",
    "environmentFilter": "production",
    "resourceTypeFilter": "order",
    "steps": [
        {"type": "delay", "name": "wait", "delayMs": 5},
        {"type": "condition", "name": "is_large", "onFalse": 2, "timeoutMs": 1000},
        {
            "type": "parallel",
            "name": "both",
            "branches": [
                [
                    {
                        "type": "action",
                        "name": "ship",
                        "uses": "send",
                        "retryPolicy": {
                            "maxAttempts": 3,
                            "backoffMs": 500,
                            "backoffCoefficient": 1.5,
                        },
                        "config": {"carrierCode": "x"},
                    }
                ],
                [{"type": "action", "name": "tell"}],
            ],
        },
    ],
    "config": {"someKey": {"innerKey": 1}},
    "isEnabled": True,
}
SNAKE: dict[str, object] = {
    "tenant_id": TENANT,
    "name": "Ship it",
    "description": "What happens\nafter a payment",
    "trigger_type": "order.paid",
    "environment_filter": "production",
    "resource_type_filter": "order",
    "steps": [
        {"type": "delay", "name": "wait", "delay_ms": 5},
        {"type": "condition", "name": "is_large", "on_false": 2, "timeout_ms": 1000},
        {
            "type": "parallel",
            "name": "both",
            "branches": [
                [
                    {
                        "type": "action",
                        "name": "ship",
                        "uses": "send",
                        "retry_policy": {
                            "max_attempts": 3,
                            "backoff_ms": 500,
                            "backoff_coefficient": 1.5,
                        },
                        "config": {"carrierCode": "x"},
                    }
                ],
                [{"type": "action", "name": "tell"}],
            ],
        },
    ],
    "config": {"someKey": {"innerKey": 1}},
    "is_enabled": True,
}
MODEL = WorkflowInput(
    tenant_id=TENANT,
    name="Ship it",
    description="What happens\nafter a payment",
    trigger_type="order.paid",
    environment_filter="production",
    resource_type_filter="order",
    steps=[
        DelayStep(name="wait", delay_ms=5),
        ConditionStep(name="is_large", on_false=2, timeout_ms=1000),
        ParallelStep(
            name="both",
            branches=[
                [
                    ActionStep(
                        name="ship",
                        uses="send",
                        retry_policy=RetryPolicy(
                            max_attempts=3, backoff_ms=500, backoff_coefficient=1.5
                        ),
                        config={"carrierCode": "x"},
                    )
                ],
                [ActionStep(name="tell")],
            ],
        ),
    ],
    config={"someKey": {"innerKey": 1}},
)


@pytest.mark.parametrize("given", [CAMEL, SNAKE, MODEL], ids=["camelCase", "snake_case", "model"])
async def test_every_spelling_of_a_definition_means_the_same(
    idle_pulse: PulseTest, given: WorkflowInput | dict[str, object]
) -> None:
    """Keys inside ``config`` belong to the author and stay as they are."""
    created = await idle_pulse.engine.create_workflow(given)

    stored = await idle_pulse.engine.get_workflow(created.id)
    assert stored == created
    assert created.version == 1
    content = {name: getattr(created, name) for name in WorkflowInput.model_fields}
    assert WorkflowInput(**content) == MODEL


async def test_definitions_are_stored_in_camel_case(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.engine.create_workflow(SNAKE)

    written = created.model_dump(mode="json", exclude_none=True)

    assert {name: written[name] for name in CAMEL} == CAMEL


async def test_signals_may_be_spelled_both_ways(idle_pulse: PulseTest) -> None:
    idle_pulse.signal("order.paid")
    snake = {"tenant_id": TENANT, "source": "test", "type": "order.paid", "resource_id": "o-1"}
    camel = {"tenantId": TENANT, "source": "test", "type": "order.paid", "resourceId": "o-1"}

    envelopes = [await idle_pulse.engine.emit(signal) for signal in (snake, camel)]

    assert [envelope.resource_id for envelope in envelopes] == ["o-1", "o-1"]


async def test_an_unknown_id_gives_nothing(idle_pulse: PulseTest) -> None:
    assert await idle_pulse.engine.get_workflow("wfd_nobody") is None


async def test_a_change_touches_only_the_fields_that_it_names(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.engine.create_workflow(CAMEL)

    changed = await idle_pulse.engine.update_workflow(created.id, {"name": "Ship it now"})

    assert changed.name == "Ship it now"
    assert changed.version == 2
    assert changed.updated_at > created.updated_at
    untouched = {"name", "version", "updated_at"}
    assert changed.model_dump(exclude=untouched) == created.model_dump(exclude=untouched)
    assert await idle_pulse.engine.get_workflow(created.id) == changed


@pytest.mark.parametrize(
    "change",
    [
        {"environmentFilter": None},
        {"environment_filter": None},
        WorkflowUpdate(environment_filter=None),
    ],
    ids=["camelCase", "snake_case", "model"],
)
async def test_none_clears_an_optional_field(
    idle_pulse: PulseTest, change: WorkflowUpdate | dict[str, object]
) -> None:
    created = await idle_pulse.engine.create_workflow(CAMEL)

    changed = await idle_pulse.engine.update_workflow(created.id, change)

    assert changed.environment_filter is None
    assert changed.resource_type_filter == "order"


async def test_the_owner_of_a_definition_never_changes(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.engine.create_workflow(CAMEL)

    with pytest.raises(DefinitionError, match="/tenantId: of a definition never changes"):
        await idle_pulse.engine.update_workflow(created.id, {"tenantId": "tenant-b"})


async def test_a_change_that_breaks_a_rule_is_refused(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.engine.create_workflow(CAMEL)

    with pytest.raises(DefinitionError) as caught:
        await idle_pulse.engine.update_workflow(
            created.id, {"steps": [{"type": "delay", "name": "wait", "delayMs": 0}]}
        )

    assert [problem.pointer for problem in caught.value.problems] == ["/steps/0/delayMs"]
    assert await idle_pulse.engine.get_workflow(created.id) == created


async def test_concurrent_changes_all_take_effect(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.engine.create_workflow(CAMEL)

    await asyncio.gather(
        idle_pulse.engine.update_workflow(created.id, {"name": "Other"}),
        idle_pulse.engine.update_workflow(created.id, {"description": "Other"}),
        idle_pulse.engine.update_workflow(created.id, {"triggerType": "other"}),
    )

    changed = await idle_pulse.engine.get_workflow(created.id)
    assert changed is not None
    assert (changed.name, changed.description, changed.trigger_type) == ("Other", "Other", "other")
    assert changed.version == 4


async def test_all_problems_of_a_definition_are_told_at_once(idle_pulse: PulseTest) -> None:
    with pytest.raises(DefinitionError) as caught:
        await idle_pulse.engine.create_workflow(
            {
                "tenantId": TENANT,
                "name": "",
                "trigerType": "order.paid",
                "steps": [
                    {"type": "delay", "name": "wait", "delayMs": -1},
                    {"type": "action", "name": "wait"},
                ],
            }
        )

    pointers = {problem.pointer for problem in caught.value.problems}
    assert {"/name", "/trigerType", "/steps/0/delayMs", "/steps/1/name"} <= pointers
    assert (await idle_pulse.engine.list_workflows()).items == ()


async def test_an_unknown_handler_is_told_beside_other_problems(idle_pulse: PulseTest) -> None:
    idle_pulse.action("send_alert")

    with pytest.raises(DefinitionError) as caught:
        await idle_pulse.define(
            "order.paid", {"type": "delay", "name": "wait", "delayMs": -1}, "send_alrt"
        )

    told = [(problem.pointer, problem.hint) for problem in caught.value.problems]
    assert told == [
        ("/steps/0/delayMs", None),
        ("/steps/1/name", 'Did you mean "send_alert"?'),
    ]


async def test_a_misspelled_handler_is_told_with_a_suggestion(idle_pulse: PulseTest) -> None:
    idle_pulse.action("send_alert")
    idle_pulse.condition("is_large")

    with pytest.raises(DefinitionError) as caught:
        await idle_pulse.define("order.paid", "send_alret", condition("send_alert"))

    first, second = caught.value.problems
    assert (first.pointer, first.hint) == ("/steps/0/name", 'Did you mean "send_alert"?')
    assert second.hint == 'An action has that name. Did you mean "type": "action"?'


async def test_without_any_handlers_known_names_are_not_checked(idle_pulse: PulseTest) -> None:
    definition = await idle_pulse.define("order.paid", "nobody knows")

    assert definition.steps[0].name == "nobody knows"


async def test_deleting_hides_a_definition_but_not_its_runs(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid")
    run = await pulse.emit_and_wait("order.paid")

    await pulse.engine.delete_workflow(definition.id)

    assert await pulse.engine.get_workflow(definition.id) is None
    assert (await pulse.engine.list_workflows()).items == ()
    assert await pulse.engine.get_run(run.id) == run


async def test_what_does_not_exist_cannot_be_changed(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine

    for attempt in (
        engine.update_workflow("wfd_nobody", {"name": "x"}),
        engine.enable_workflow("wfd_nobody"),
        engine.disable_workflow("wfd_nobody"),
        engine.delete_workflow("wfd_nobody"),
    ):
        with pytest.raises(NotFoundError, match="wfd_nobody"):
            await attempt


async def test_pages_give_every_definition_once_newest_first(idle_pulse: PulseTest) -> None:
    made = [await idle_pulse.define("order.paid", name=f"{number}") for number in range(5)]

    found: list[WorkflowDefinition] = []
    cursor = None
    sizes: list[int] = []
    while True:
        page = await idle_pulse.engine.list_workflows(limit=2, cursor=cursor)
        found += page.items
        sizes.append(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            break

    assert sizes == [2, 2, 1]
    assert found == made[::-1]


async def test_lists_of_definitions_can_be_narrowed(idle_pulse: PulseTest) -> None:
    paid = await idle_pulse.define("order.paid")
    off = await idle_pulse.define("order.gone", isEnabled=False)
    engine = idle_pulse.engine

    assert (await engine.list_workflows(tenant_id=TENANT, trigger_type="order.paid")).items == (
        paid,
    )
    assert (await engine.list_workflows(tenant_id=TENANT, is_enabled=False)).items == (off,)
    assert (await engine.list_workflows(tenant_id=TENANT, is_enabled=True)).items == (paid,)


@pytest.mark.parametrize("limit", [0, -1, 501])
async def test_a_page_has_1_to_500_rows(idle_pulse: PulseTest, limit: int) -> None:
    with pytest.raises(InvalidInputError, match="1 to 500"):
        await idle_pulse.engine.list_workflows(limit=limit)


@pytest.mark.parametrize("cursor", ["x", "", "ä", "💥", "cnVuXw==\n\n", "%%%", "AAAA"])
async def test_a_cursor_that_is_none_is_refused(idle_pulse: PulseTest, cursor: str) -> None:
    with pytest.raises(InvalidInputError, match="cursor"):
        await idle_pulse.engine.list_workflows(cursor=cursor)
