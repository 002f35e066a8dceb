"""Scripted handlers do what they are told; real ones run beside them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import (
    DefinitionError,
    Engine,
    NonRetryableError,
    SignalMismatchError,
    TriggerInput,
    UnknownSignalError,
    WorkflowContext,
)
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import PulseTestEnvironment, action, condition
from pulse_temporal.types import CallNext

RETRY = {"maxAttempts": 3, "backoffMs": 60_000}


def definition(*steps: object, **fields: object) -> dict[str, object]:
    return {"name": "Paid", "triggerType": "order.paid", "steps": list(steps), **fields}


def register_shop(engine: Engine) -> None:
    """Register what a shop would."""
    engine.register_trigger("order.paid", source="shop", resource_type="order")

    @engine.action("price")
    def price(ctx: WorkflowContext) -> dict[str, object]:
        ctx.log("priced")
        return {"amount": ctx.trigger.payload["quantity"]}

    @engine.action("send_email", replay_safe=True)
    async def send_email(_ctx: WorkflowContext) -> None:
        raise AssertionError("a test must send no e-mail")


async def test_real_handlers_run_and_scripts_take_the_place_of_some(
    env: PulseTestEnvironment,
) -> None:
    env.use(register_shop)
    email = env.script_action("send_email", returns={"id": 7})

    result = await env.run(
        definition(action("price"), action("send_email")), {"payload": {"quantity": 3}}
    )

    assert result.context == {"price": {"amount": 3}, "send_email": {"id": 7}}
    assert email.calls[0].run.context == {"price": {"amount": 3}}
    assert email.calls[0].trigger.source == "shop"
    assert env.engine.registry.actions["send_email"].replay_safe
    assert [log.message for log in result.logs] == ["priced"]


async def test_a_script_fails_as_often_as_told(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge", fails=2, returns={"ok": True})

    result = await env.run(definition(action("charge", retryPolicy=RETRY)))

    assert (result.status, len(charge.calls)) == ("completed", 3)
    assert result.step("charge").result == {"ok": True}


async def test_a_script_raises_what_it_is_given(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge", raises=NonRetryableError("the card is stolen"))

    result = await env.run(definition(action("charge", retryPolicy=RETRY)))

    assert (result.status, len(charge.calls)) == ("failed", 1)
    assert result.run.error_message == "charge: NonRetryableError: the card is stolen"


async def test_a_condition_answers_call_by_call(env: PulseTestEnvironment) -> None:
    still = env.script_condition("still_open", returns=[True, False])
    escalate = env.script_action("escalate")

    result = await env.run(
        definition(
            condition("first look", uses="still_open"),
            condition("second look", uses="still_open"),
            action("escalate"),
        )
    )

    assert result.statuses == {
        "first look": "completed",
        "second look": "completed",
        "escalate": "skipped",
    }
    assert (len(still.calls), len(escalate.calls)) == (2, 0)


async def test_a_gate_holds_a_run_up_in_the_middle_of_a_step(env: PulseTestEnvironment) -> None:
    gate = env.script_gate("charge", returns={"id": 7})
    await env.define(definition(action("charge"), tenantId="acme"))

    trigger = await env.engine.emit({"tenantId": "acme", "source": "test", "type": "order.paid"})
    await gate.reached()
    (held,) = await env.engine.get_run_steps(trigger.run_ids[0])
    gate.open()
    result = await env.finish(trigger.run_ids[0])

    assert held.status == "running"
    assert (result.context, gate.call_count) == ({"charge": {"id": 7}}, 1)


async def test_a_gate_takes_the_place_of_a_real_handler(env: PulseTestEnvironment) -> None:
    env.use(register_shop)

    env.script_gate("send_email").open()
    result = await env.run(definition(action("send_email")))

    assert result.status == "completed"
    assert env.engine.registry.actions["send_email"].replay_safe


async def test_waiting_for_a_call_that_does_not_come_says_so(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge")

    with pytest.raises(TimeoutError, match=r"'charge' was called 0 times in 0\.01 s, not 2 times"):
        await charge.called(times=2, within=timedelta(milliseconds=10))


async def test_a_definition_is_there_for_its_own_run_only(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge")

    await env.run(definition(action("charge")))
    await env.run(definition(action("charge")))

    assert len(charge.calls) == 2


async def test_a_stored_definition_may_run_again(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge")
    defined = await env.define(definition(action("charge")))

    first = await env.run(defined)
    second = await env.run(defined)

    assert first.run.definition_id == second.run.definition_id == defined.id
    assert len(charge.calls) == 2


async def test_the_signal_is_completed_from_the_definition(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge")

    await env.run(
        definition(
            action("charge"),
            tenantId="acme",
            environmentFilter="production",
            resourceTypeFilter="order",
        ),
        {"resource_id": "o-1"},
    )

    trigger = charge.calls[0].trigger
    assert (trigger.tenant_id, trigger.environment) == ("acme", "production")
    assert (trigger.resource_type, trigger.resource_id) == ("order", "o-1")


async def test_a_signal_that_does_not_match_is_explained(env: PulseTestEnvironment) -> None:
    with pytest.raises(
        AssertionError,
        match="'Paid': its environment is 'staging', the definition wants 'production'",
    ):
        await env.run(definition(environmentFilter="production"), {"environment": "staging"})


async def test_an_idempotency_key_that_was_used_is_explained(env: PulseTestEnvironment) -> None:
    signal = {"idempotencyKey": "once"}
    await env.run(definition(), signal)

    with pytest.raises(AssertionError, match="its idempotency key was used before"):
        await env.run(definition(), signal)


async def test_a_handler_that_nobody_registered_is_refused(env: PulseTestEnvironment) -> None:
    env.script_action("charge")

    with pytest.raises(DefinitionError, match="chrage"):
        await env.run(definition(action("chrage")))


async def test_registered_signals_are_checked(env: PulseTestEnvironment) -> None:
    env.use(register_shop)
    defined = await env.define(definition(action("price")))

    with pytest.raises(SignalMismatchError):
        await env.run(
            defined, TriggerInput(tenant_id=defined.tenant_id, source="else", type="order.paid")
        )


async def test_signals_of_handlers_start_other_definitions(env: PulseTestEnvironment) -> None:
    @env.engine.action("ship")
    async def ship(ctx: WorkflowContext) -> None:
        await ctx.emit({"source": "test", "type": "order.shipped"})

    notify = env.script_action("notify")
    await env.define(
        {"name": "Shipped", "triggerType": "order.shipped", "steps": [action("notify")]}
    )

    await env.run(definition(action("ship")))
    await env.settle()

    assert [ctx.trigger.type for ctx in notify.calls] == ["order.shipped"]


async def test_the_rules_of_production_can_be_asked_for() -> None:
    async with PulseTestEnvironment.start(unregistered_signals="refuse") as env:
        with pytest.raises(UnknownSignalError):
            await env.run(definition())


async def test_middleware_runs_round_scripted_handlers_too(servers: EmbeddedServices) -> None:
    told: list[str] = []

    async def telling(ctx: WorkflowContext, call_next: CallNext) -> object:
        told.append(ctx.step.step_name)
        return await call_next()

    async with PulseTestEnvironment.start(
        postgres=servers.dsn, handler_middleware=[telling]
    ) as env:
        env.script_action("send_email")
        result = await env.run(definition(action("send_email")))

    assert (result.status, told) == ("completed", ["send_email"])
