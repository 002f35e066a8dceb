"""What an author should look at is said to the caller, before and when a definition is stored."""

from __future__ import annotations

import pytest

from pulse_temporal import DefinitionError, Problem, WorkflowInput
from pulse_temporal.testing import action
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

PAID: dict[str, object] = {
    "tenantId": TENANT,
    "name": "Receipts",
    "triggerType": "order.payed",
    "steps": [action("send")],
}
UNKNOWN = (
    '/triggerType: no signal type "order.payed" is registered by this process or published by a '
    "live worker; a process that has not registered it refuses to emit it. "
    'Did you mean "order.paid"?'
)


@pytest.fixture
async def shop(idle_pulse: PulseTest) -> PulseTest:
    """Return an engine that knows a signal and an action."""
    idle_pulse.signal("order.paid")
    idle_pulse.action("send")
    return idle_pulse


def told(warnings: tuple[Problem, ...]) -> list[str]:
    """Return warnings as lines."""
    return [str(warning) for warning in warnings]


async def test_a_signal_that_nobody_registered_is_a_warning_of_every_call(shop: PulseTest) -> None:
    engine = shop.engine

    report = await engine.validate_workflow(PAID)
    created = await engine.create_workflow(PAID)
    put = await engine.put_workflow(PAID, key="receipts")
    updated = await engine.update_workflow(created.id, {"name": "Other"})

    for warnings in (report.warnings, created.warnings, put.definition.warnings, updated.warnings):
        assert told(warnings) == [UNKNOWN]
    assert report.is_valid


async def test_a_signal_that_is_registered_is_no_warning(shop: PulseTest) -> None:
    created = await shop.engine.create_workflow({**PAID, "triggerType": "order.paid"})

    assert created.warnings == ()
    changed = await shop.engine.update_workflow(created.id, {"trigger_type": "order.payed"})
    assert told(changed.warnings) == [UNKNOWN.replace("triggerType", "trigger_type")]


async def test_a_signal_that_a_live_worker_has_registered_is_no_warning(
    pulse: PulseTest,
) -> None:
    pulse.signal("order.payed")
    pulse.action("send")
    await pulse.engine.stop()
    await pulse.engine.start()
    front = make_pulse(pulse.dsn, pulse.temporal_address, like=pulse)

    report = await front.engine.validate_workflow(PAID)
    await front.engine.stop()

    assert (report.problems, report.warnings) == ((), ())


async def test_signal_types_with_a_cron_need_no_registration(shop: PulseTest) -> None:
    report = await shop.engine.validate_workflow({**PAID, "cronExpression": "@daily"})

    assert (report.problems, report.warnings) == ((), ())


async def test_where_every_signal_is_accepted_none_is_strange(
    database: str, idle_pulse: PulseTest
) -> None:
    lenient = make_pulse(database, idle_pulse.temporal_address, unregistered_signals="accept")
    lenient.action("send")

    report = await lenient.engine.validate_workflow(PAID)
    await lenient.engine.stop()

    assert (report.problems, report.warnings) == ((), ())


async def test_a_filter_that_never_matches_is_a_warning(shop: PulseTest) -> None:
    shop.engine.register_trigger("parcel.sent", source=SOURCE, resource_type="parcel")

    report = await shop.engine.validate_workflow(
        {**PAID, "triggerType": "parcel.sent", "resource_type_filter": "order"}
    )

    assert told(report.warnings) == [
        (
            '/resource_type_filter: never matches: signals of type "parcel.sent" are registered '
            'with the resource type "parcel"'
        )
    ]


async def test_handlers_that_nobody_can_vouch_for_are_a_warning(idle_pulse: PulseTest) -> None:
    idle_pulse.signal("order.payed")

    created = await idle_pulse.engine.create_workflow(PAID)

    assert told(created.warnings) == [
        (
            "/steps: the names of handlers were not checked: this process has registered none, "
            "and no live worker has published any"
        )
    ]
    assert (await idle_pulse.engine.validate_workflow({**PAID, "steps": []})).warnings == ()


async def test_warnings_are_not_stored(shop: PulseTest) -> None:
    created = await shop.engine.create_workflow(PAID)

    read = await shop.engine.get_workflow(created.id)

    assert read is not None
    assert read.warnings == ()
    assert read == created
    assert "warnings" not in created.model_dump()


async def test_validating_stores_nothing(shop: PulseTest) -> None:
    for content in (PAID, WorkflowInput.model_validate(PAID)):
        assert (await shop.engine.validate_workflow(content)).is_valid

    assert (await shop.engine.list_workflows()).items == ()


async def test_a_report_has_what_storing_would_raise(shop: PulseTest) -> None:
    broken = {**PAID, "name": "", "steps": [action("sned"), action("x", timeoutMs=-1)]}

    report = await shop.engine.validate_workflow(broken)
    with pytest.raises(DefinitionError) as caught:
        await shop.engine.create_workflow(broken)

    assert not report.is_valid
    assert report.problems == caught.value.problems


async def test_handler_names_are_told_together_with_all_other_problems(shop: PulseTest) -> None:
    with pytest.raises(DefinitionError) as caught:
        await shop.engine.create_workflow(
            {
                "tenantId": TENANT,
                "name": "",
                "triggerType": "order.paid",
                "cronExpression": "0 25 * * *",
                "steps": [
                    action("sned"),
                    {"type": "delay", "name": "wait", "delayMs": 0},
                    {
                        "type": "parallel",
                        "name": "both",
                        "branches": [[action("send", uses="sent")], [action("send2", oops=1)]],
                    },
                ],
            }
        )

    assert [problem.pointer for problem in caught.value.problems] == [
        "/name",
        "/cronExpression",
        "/steps/0/name",
        "/steps/1/delayMs",
        "/steps/2/branches/0/0/uses",
        "/steps/2/branches/1/0/name",
        "/steps/2/branches/1/0/oops",
    ]


@pytest.mark.parametrize("given", [None, [], "x", 5])
async def test_what_is_no_definition_at_all_is_a_problem(shop: PulseTest, given: object) -> None:
    report = await shop.engine.validate_workflow(given)  # pyright: ignore[reportArgumentType] - what a caller may send

    assert [problem.pointer for problem in report.problems] == [""]


async def test_a_change_beside_the_steps_is_not_refused_for_their_handlers(
    shop: PulseTest,
) -> None:
    """The only worker that knows them may be away."""
    created = await shop.engine.create_workflow({**PAID, "triggerType": "order.paid"})
    other = make_pulse(shop.dsn, shop.temporal_address, like=shop)
    other.signal("order.paid")
    other.action("sender")

    changed = await other.engine.update_workflow(created.id, {"name": "Other"})
    with pytest.raises(DefinitionError, match="/steps/0/name"):
        await other.engine.update_workflow(created.id, {"steps": [action("send")]})
    await other.engine.stop()

    assert told(changed.warnings) == [
        '/steps/0/name: no action named "send" is registered. Did you mean "sender"?'
    ]
