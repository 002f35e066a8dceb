"""What an operator sees in Temporal: names, summaries and outcomes; no data of the tenants."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import TENANT, PulseTest, eventually, make_pulse

HOUR_MS = 3_600_000


async def history_bytes(pulse: PulseTest, workflow_id: str) -> bytes:
    """Return everything that Temporal has stored of a workflow."""
    history = await pulse.history(workflow_id)
    return b"".join(event.SerializeToString() for event in history.events)


async def described(pulse: PulseTest, workflow_id: str) -> WorkflowExecutionDescription:
    """Describe a workflow that has closed or is about to."""
    handle = await pulse.workflow(workflow_id)

    async def look() -> WorkflowExecutionDescription | None:
        found = await handle.describe()
        return None if found.status == WorkflowExecutionStatus.RUNNING else found

    return await eventually(look)


async def test_a_workflow_has_the_id_of_its_run(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    run = await pulse.emit_and_wait("order.paid")

    description = await described(pulse, run.temporal_workflow_id)
    assert description.id == run.id
    assert description.workflow_type == "PulseRun"
    assert description.status == WorkflowExecutionStatus.COMPLETED


async def test_runs_can_be_searched_by_tenant_definition_and_signal(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid")
    run = await pulse.emit_and_wait("order.paid")

    description = await described(pulse, run.id)

    found = description.typed_search_attributes
    assert found[SearchAttributeKey.for_keyword("PulseTenant")] == TENANT
    assert found[SearchAttributeKey.for_keyword("PulseDefinition")] == definition.id
    assert found[SearchAttributeKey.for_keyword("PulseTrigger")] == run.trigger_id


async def test_a_search_finds_exactly_the_runs_of_a_definition(pulse: PulseTest) -> None:
    wanted = await pulse.define("order.paid")
    await pulse.define("order.paid")
    trigger = await pulse.emit("order.paid")
    for run_id in trigger.run_ids:
        await pulse.engine.wait_for_run(run_id)
    client = await Client.connect(pulse.temporal_address)

    async def search() -> list[str]:
        query = f"PulseDefinition = '{wanted.id}'"
        return [found.id async for found in client.list_workflows(query)]

    assert await eventually(search) == [trigger.run_ids[0]]


async def test_a_run_has_a_title_and_a_description(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid", name="Ship it")
    run = await pulse.emit_and_wait("order.paid")

    description = await described(pulse, run.id)

    assert await description.static_summary() == "Ship it · order.paid"
    details = await description.static_details() or ""
    for fact in (run.id, TENANT, definition.id, run.trigger_id):
        assert fact in details
    assert "http" not in details


async def test_a_run_links_to_its_page(servers: EmbeddedServices, database: str) -> None:
    pages = "https://pulse.acme.example/pulse/"
    pulse = make_pulse(database, servers.temporal_address, pages_url=pages)
    async with pulse.engine:
        await pulse.define("order.paid", tenant_id="a b/c(d)")
        trigger = await pulse.emit("order.paid", tenant_id="a b/c(d)")
        await pulse.engine.wait_for_run(trigger.run_ids[0])

        details = await (await described(pulse, trigger.run_ids[0])).static_details() or ""

    link = f"{pages}t/a%20b~1c%28d%29/runs/{trigger.run_ids[0]}"
    assert f"[Open in Pulse]({link})" in details


async def test_activities_have_the_names_of_their_handlers(pulse: PulseTest) -> None:
    pulse.condition("is_large")
    pulse.action("charge card")
    await pulse.define(
        "order.paid",
        condition("is_large", timeoutMs=60_000),
        action("first payment", uses="charge card"),
    )

    run = await pulse.emit_and_wait("order.paid")

    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in (await pulse.history(run.id)).events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    assert scheduled == ["is_large", "charge card"]


async def summaries(pulse: PulseTest, workflow_id: str, kind: EventType.ValueType) -> list[str]:
    """Return the summaries of the events of one kind."""
    return [
        event.user_metadata.summary.data.decode().strip('"')
        for event in (await pulse.history(workflow_id)).events
        if event.event_type == kind
    ]


async def test_activities_and_timers_say_what_they_are_for(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    policy = {"maxAttempts": 3, "backoffMs": 100}
    await pulse.define("order.paid", delay("cool down", 100), action("charge", retryPolicy=policy))

    run = await pulse.emit_and_wait("order.paid")

    timers = await summaries(pulse, run.id, EventType.EVENT_TYPE_TIMER_STARTED)
    assert timers == ["delay · cool down", "retry 2 of 3 of charge"]
    activities = await summaries(pulse, run.id, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    assert activities == ["action · charge"] * 2


async def test_every_branch_is_a_workflow_of_its_own(pulse: PulseTest) -> None:
    pulse.action("left")
    pulse.action("right")
    await pulse.define("order.paid", parallel("both", ["left"], ["right"]))

    run = await pulse.emit_and_wait("order.paid")

    for number in range(2):
        branch = await described(pulse, f"{run.id}/0/b{number}")
        assert branch.workflow_type == "PulseBranch"
        assert branch.parent_id == run.id
        assert branch.status == WorkflowExecutionStatus.COMPLETED
        assert await branch.static_summary() == f"both · branch {number}"


@pytest.fixture
async def discreet(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine that keeps results out of Temporal too."""
    made = make_pulse(database, servers.temporal_address, history_result_bytes=0)
    async with made.engine:
        yield made


async def run_with_canaries(pulse: PulseTest) -> list[str]:
    """Run a definition with a word of its own in each place; give the ids of its workflows."""
    pulse.condition("is_large")
    pulse.action("charge", returns={"result": "canary-result"})
    pulse.action("ship")
    pulse.action("tell")
    await pulse.define(
        "order.paid",
        condition("is_large"),
        action("charge", config={"key": "canary-step-config"}),
        action("quick", uses="ship", timeoutMs=1_000),
        parallel("both", ["ship"], ["tell"]),
        config={"key": "canary-config"},
        description="canary-description",
    )
    trigger = await pulse.emit(
        "order.paid",
        {"key": "canary-payload"},
        resourceId="canary-resource",
        environment="canary-environment",
    )
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])
    assert run.status == "completed"
    return [run.id, f"{run.id}/3/b0", f"{run.id}/3/b1"]


async def test_histories_hold_no_payload_config_or_context(discreet: PulseTest) -> None:
    workflow_ids = await run_with_canaries(discreet)

    for workflow_id in workflow_ids:
        stored = await history_bytes(discreet, workflow_id)
        assert b"canary" not in stored
        assert b"generation" in stored, "the input is readable, so the search means something"


async def test_a_small_result_is_shown_in_temporal_unless_that_is_turned_off(
    pulse: PulseTest,
) -> None:
    run_id, *_ = await run_with_canaries(pulse)

    stored = await history_bytes(pulse, run_id)

    assert b"canary-result" in stored
    assert stored.count(b"canary") == stored.count(b"canary-result")


async def test_a_large_result_stays_in_postgres(pulse: PulseTest) -> None:
    pulse.action("charge", returns={"text": "canary" * 1_000})
    await pulse.define("order.paid", "charge")

    run = await pulse.emit_and_wait("order.paid")

    assert b"canary" not in await history_bytes(pulse, run.id)
    assert run.context == {"charge": {"text": "canary" * 1_000}}


async def test_a_failed_run_is_failed_in_temporal_too(pulse: PulseTest) -> None:
    pulse.action("charge", fails=9)
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")

    handle = await pulse.workflow(run.id)
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()

    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "PulseRunFailed"
    assert cause.message == "charge: RuntimeError: charge fails as scripted"
    assert (await described(pulse, run.id)).status == WorkflowExecutionStatus.FAILED


async def waiting_handle(pulse: PulseTest) -> tuple[str, WorkflowHandle[object, object]]:
    """Start a run that waits; give its id and its workflow."""
    await pulse.define("order.paid", delay("cool down", HOUR_MS))
    trigger = await pulse.emit("order.paid")
    run = await pulse.wait_for_status(trigger.run_ids[0], "waiting")
    return run.id, await pulse.workflow(run.id)


async def test_a_cancel_in_temporal_cancels_the_run(pulse: PulseTest) -> None:
    run_id, handle = await waiting_handle(pulse)

    await handle.cancel(reason="by the operator")
    run = await pulse.engine.wait_for_run(run_id)

    assert (run.status, run.cancel_reason) == ("canceled", "by the operator")
    assert await pulse.statuses(run_id) == {"0": "skipped"}
    assert (await described(pulse, run_id)).status == WorkflowExecutionStatus.CANCELED


async def test_a_cancel_in_temporal_reaches_the_handlers_in_branches(pulse: PulseTest) -> None:
    left = pulse.gate("left")
    right = pulse.gate("right")
    await pulse.define("order.paid", parallel("both", ["left"], ["right"]))
    trigger = await pulse.emit("order.paid")
    await left.reached()
    await right.reached()

    await (await pulse.workflow(trigger.run_ids[0])).cancel()
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "canceled"
    assert set((await pulse.statuses(run.id)).values()) == {"failed"}
    for number in range(2):
        branch = await described(pulse, f"{run.id}/0/b{number}")
        assert branch.status == WorkflowExecutionStatus.CANCELED
