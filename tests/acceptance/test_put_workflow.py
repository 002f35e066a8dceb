"""Definitions that an application stores at each of its starts: one for each key."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import pytest

from pulse_temporal import DefinitionConflictError, DefinitionError, WorkflowInput
from tests.harness import TENANT, PulseTest, make_pulse

RECEIPT: dict[str, object] = {
    "tenantId": TENANT,
    "key": "receipt",
    "name": "Send a receipt",
    "triggerType": "order.paid",
    "steps": [{"type": "action", "name": "send_receipt"}],
    "config": {"from": "shop@example.com", "rate": 0.5, "sizes": [1, 2.0]},
}


async def test_three_starts_store_one_definition_and_send_one_mail(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    mail = pulse.action("send_receipt")

    puts = [await pulse.engine.put_workflow(RECEIPT) for _ in range(3)]
    await pulse.emit_and_wait("order.paid")

    assert [put.outcome for put in puts] == ["created", "unchanged", "unchanged"]
    assert len({put.definition.id for put in puts}) == 1
    assert puts[-1].definition.version == 1
    assert mail.call_count == 1


async def test_a_changed_definition_gets_a_new_version(idle_pulse: PulseTest) -> None:
    first = await idle_pulse.engine.put_workflow(RECEIPT)

    second = await idle_pulse.engine.put_workflow({**RECEIPT, "name": "Receipt"})

    assert (second.outcome, second.definition.version) == ("updated", 2)
    assert second.definition.id == first.definition.id
    assert await idle_pulse.engine.get_workflow(first.definition.id) == second.definition


async def test_what_is_left_out_gets_its_default(idle_pulse: PulseTest) -> None:
    await idle_pulse.engine.put_workflow({**RECEIPT, "environmentFilter": "production"})

    put = await idle_pulse.engine.put_workflow(
        {name: value for name, value in RECEIPT.items() if name != "config"}
    )

    assert (put.definition.environment_filter, put.definition.config) == (None, {})


async def test_what_somebody_has_disabled_stays_so(idle_pulse: PulseTest) -> None:
    first = await idle_pulse.engine.put_workflow(RECEIPT)
    await idle_pulse.engine.disable_workflow(first.definition.id)

    unchanged = await idle_pulse.engine.put_workflow(RECEIPT)
    changed = await idle_pulse.engine.put_workflow({**RECEIPT, "name": "Receipt"})
    enabled = await idle_pulse.engine.put_workflow({**RECEIPT, "isEnabled": True})

    states = [put.definition.is_enabled for put in (unchanged, changed, enabled)]
    assert (unchanged.outcome, states) == ("unchanged", [False, False, True])


async def test_keys_are_unique_per_tenant(idle_pulse: PulseTest) -> None:
    mine = await idle_pulse.engine.put_workflow(RECEIPT)
    theirs = await idle_pulse.engine.put_workflow({**RECEIPT, "tenantId": "tenant-b"})
    other = await idle_pulse.engine.put_workflow(RECEIPT | {"key": "Receipt"})

    assert len({put.definition.id for put in (mine, theirs, other)}) == 3


async def test_two_processes_at_start_store_one_definition(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    other = make_pulse(idle_pulse.dsn, idle_pulse.temporal_address)

    puts = await asyncio.gather(
        *(pulse.engine.put_workflow(RECEIPT) for pulse in (idle_pulse, other) for _ in range(8))
    )
    await other.engine.stop()

    assert Counter(put.outcome for put in puts) == {"created": 1, "unchanged": 15}
    assert await connection.fetchval("SELECT count(*) FROM pulse_workflow_definitions") == 1
    assert await connection.fetchval("SELECT count(*) FROM pulse_definition_versions") == 1


async def test_starts_that_differ_end_in_one_of_the_two(idle_pulse: PulseTest) -> None:
    """While a release is rolled out."""
    old, new = RECEIPT, {**RECEIPT, "name": "Receipt"}

    puts = await asyncio.gather(
        *(idle_pulse.engine.put_workflow(each) for each in (old, new, old, new))
    )

    page = await idle_pulse.engine.list_workflows(tenant_id=TENANT)
    assert len(page.items) == 1
    assert page.items[0] == max((put.definition for put in puts), key=lambda each: each.version)


async def test_a_deleted_definition_gives_its_key_back(idle_pulse: PulseTest) -> None:
    first = await idle_pulse.engine.put_workflow(RECEIPT)
    await idle_pulse.engine.delete_workflow(first.definition.id)

    second = await idle_pulse.engine.put_workflow(RECEIPT)

    assert second.outcome == "created"
    assert second.definition.id != first.definition.id


async def test_a_key_may_stand_beside_the_definition(idle_pulse: PulseTest) -> None:
    content = {name: value for name, value in RECEIPT.items() if name != "key"}
    model = WorkflowInput.model_validate(content)

    puts = [
        await idle_pulse.engine.put_workflow(given, key="receipt")
        for given in (content, model, RECEIPT)
    ]

    assert [put.outcome for put in puts] == ["created", "unchanged", "unchanged"]
    assert puts[0].definition.key == "receipt"


async def test_a_key_that_contradicts_the_definitions_is_refused(idle_pulse: PulseTest) -> None:
    with pytest.raises(DefinitionError, match="/key: is not the key that was given: 'other'"):
        await idle_pulse.engine.put_workflow(RECEIPT, key="other")


async def test_without_a_key_nothing_is_put(idle_pulse: PulseTest) -> None:
    content = {name: value for name, value in RECEIPT.items() if name != "key"}

    with pytest.raises(DefinitionError) as caught:
        await idle_pulse.engine.put_workflow({**content, "name": ""})

    assert [problem.pointer for problem in caught.value.problems] == ["/name", "/key"]


async def test_creating_under_a_key_that_is_taken_is_a_conflict(idle_pulse: PulseTest) -> None:
    first = await idle_pulse.engine.create_workflow(RECEIPT)

    with pytest.raises(DefinitionConflictError, match="belongs to definition") as caught:
        await idle_pulse.engine.create_workflow(RECEIPT)

    assert caught.value.definition_id == first.id
    assert (await idle_pulse.engine.put_workflow(RECEIPT)).outcome == "unchanged"


async def test_a_definition_of_before_is_adopted_by_giving_it_a_key(idle_pulse: PulseTest) -> None:
    content = {name: value for name, value in RECEIPT.items() if name != "key"}
    old = await idle_pulse.engine.create_workflow(content)
    twin = await idle_pulse.engine.create_workflow(content)

    await idle_pulse.engine.update_workflow(old.id, {"key": "receipt"})
    put = await idle_pulse.engine.put_workflow(RECEIPT)

    assert (put.outcome, put.definition.id) == ("unchanged", old.id)
    with pytest.raises(DefinitionConflictError, match="another definition of tenant"):
        await idle_pulse.engine.update_workflow(twin.id, {"key": "receipt"})
