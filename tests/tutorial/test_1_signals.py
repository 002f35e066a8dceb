"""Signals start runs: what is emitted, what matches it, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from pulse_temporal import (
    IdempotencyConflictError,
    PayloadError,
    SignalMismatchError,
    TriggerInput,
)
from pulse_temporal.testing import PulseTestEnvironment

SHIP = [{"type": "action", "name": "ship"}]


async def test_01_a_signal_starts_a_run(env: PulseTestEnvironment) -> None:
    """A definition says what happens after a signal; each match of the two is a run."""
    env.script_action("ship")
    await env.engine.create_workflow(
        {"tenantId": "acme", "name": "Ship", "triggerType": "t01.paid", "steps": SHIP}
    )

    trigger = await env.engine.emit({"tenantId": "acme", "source": "shop", "type": "t01.paid"})
    run = await env.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"


async def test_02_a_signal_carries_a_payload(env: PulseTestEnvironment) -> None:
    """Handlers find the payload in ``ctx.trigger.payload``."""
    ship = env.script_action("ship")

    await env.run(
        {"name": "Ship", "triggerType": "t02.paid", "steps": SHIP}, {"payload": {"order": 7}}
    )

    assert ship.calls[0].trigger.payload == {"order": 7}


async def test_03_every_definition_that_matches_has_a_run(env: PulseTestEnvironment) -> None:
    """One signal may start many runs, of the oldest definition first."""
    env.script_action("ship")
    for name in ("Ship", "Thank"):
        await env.define({"name": name, "triggerType": "t03.paid", "steps": SHIP})

    trigger = await env.engine.emit(
        {"tenantId": "test-tenant", "source": "shop", "type": "t03.paid"}
    )
    runs = [await env.finish(run_id) for run_id in trigger.run_ids]

    assert [each.run.definition_snapshot.name for each in runs] == ["Ship", "Thank"]


async def test_04_a_signal_that_nothing_matches_is_stored(env: PulseTestEnvironment) -> None:
    """It starts no run now, and can be replayed when there is a definition."""
    trigger = await env.engine.emit({"tenantId": "acme", "source": "shop", "type": "t04.lost"})

    assert trigger.run_ids == ()
    assert await env.engine.get_trigger(trigger.id) is not None


async def test_05_filters_narrow_what_matches(env: PulseTestEnvironment) -> None:
    """A definition may ask for an environment and a type of resource."""
    env.script_action("ship")
    await env.define(
        {
            "name": "Production only",
            "triggerType": "t05.paid",
            "environmentFilter": "production",
            "steps": SHIP,
        }
    )
    signal = TriggerInput(tenant_id="test-tenant", source="shop", type="t05.paid")

    staging = await env.engine.emit(signal.model_copy(update={"environment": "staging"}))
    production = await env.engine.emit(signal.model_copy(update={"environment": "production"}))
    await env.finish(production.run_ids[0])

    assert (len(staging.run_ids), len(production.run_ids)) == (0, 1)


async def test_06_tenants_do_not_see_each_other(env: PulseTestEnvironment) -> None:
    """A definition matches signals of its own tenant, and ids of others are unknown."""
    env.script_action("ship")
    definition = await env.define({"name": "Ship", "triggerType": "t06.paid", "steps": SHIP})

    trigger = await env.engine.emit({"tenantId": "other", "source": "shop", "type": "t06.paid"})

    assert trigger.run_ids == ()
    assert await env.engine.for_tenant("other").get_workflow(definition.id) is None


class Paid(BaseModel):
    """What the payload of a registered signal must look like."""

    amount: int


async def test_07_a_registered_signal_is_checked(env: PulseTestEnvironment) -> None:
    """Its source and its payload must be what was registered; else nothing is stored."""
    env.engine.register_trigger("t07.paid", source="shop", payload_schema=Paid)
    signal = {"tenantId": "acme", "source": "shop", "type": "t07.paid"}

    with pytest.raises(PayloadError):
        await env.engine.emit({**signal, "payload": {"amount": "much"}})
    with pytest.raises(SignalMismatchError):
        await env.engine.emit({**signal, "source": "warehouse", "payload": {"amount": 1}})


async def test_08_an_idempotency_key_makes_a_signal_unique(env: PulseTestEnvironment) -> None:
    """The same content gives the first signal again; other content is an error."""
    signal = {"tenantId": "acme", "source": "shop", "type": "t08.paid", "idempotencyKey": "o-1"}

    first = await env.engine.emit({**signal, "payload": {"order": 1}})
    again = await env.engine.emit({**signal, "payload": {"order": 1}})

    assert (again.id, again.duplicate) == (first.id, True)
    with pytest.raises(IdempotencyConflictError):
        await env.engine.emit({**signal, "payload": {"order": 2}})


async def test_09_many_signals_are_stored_together(env: PulseTestEnvironment) -> None:
    """``emit_many`` stores all of them or none."""
    signals = [
        {"tenantId": "acme", "source": "shop", "type": "t09.paid", "payload": {"order": number}}
        for number in range(3)
    ]

    triggers = await env.engine.emit_many(signals)

    assert [trigger.payload for trigger in triggers] == [{"order": n} for n in range(3)]


async def test_10_a_signal_may_join_a_transaction(env: PulseTestEnvironment) -> None:
    """What is rolled back was never emitted."""
    signal = {"tenantId": "acme", "source": "shop", "type": "t10.paid"}
    stored: list[str] = []

    async def order(*, fails: bool) -> None:
        async with env.engine.transaction() as connection:
            stored.append((await env.engine.emit(signal, connection=connection)).id)
            if fails:
                raise ValueError("out of stock")

    await order(fails=False)
    with pytest.raises(ValueError, match="out of stock"):
        await order(fails=True)

    kept, undone = [await env.engine.get_trigger(trigger_id) for trigger_id in stored]
    assert (kept is None, undone is None) == (False, True)
