"""An idempotency key makes many emits one signal."""

from __future__ import annotations

import asyncio

import pytest

from pulse_temporal import IdempotencyConflictError
from tests.harness import PulseTest

KEY = "payment 4711"


async def test_the_second_emit_of_a_key_gives_the_first_signal(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    first = await pulse.emit("order.paid", {"order": 1}, idempotencyKey=KEY)
    second = await pulse.emit("order.paid", {"order": 1}, idempotencyKey=KEY)

    assert (first.duplicate, second.duplicate) == (False, True)
    assert (second.id, second.run_ids) == (first.id, first.run_ids)
    assert second.created_at == first.created_at
    assert len((await pulse.engine.list_runs()).items) == 1


async def test_a_repeated_emit_does_not_start_definitions_made_since(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    await pulse.emit("order.paid", idempotencyKey=KEY)
    await pulse.define("order.paid")

    again = await pulse.emit("order.paid", idempotencyKey=KEY)

    assert again.run_ids == ()


async def test_the_order_of_keys_in_a_payload_does_not_matter(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    first = await pulse.emit("order.paid", {"a": 1, "b": {"c": 2, "d": 3}}, idempotencyKey=KEY)

    again = await pulse.emit("order.paid", {"b": {"d": 3, "c": 2}, "a": 1}, idempotencyKey=KEY)

    assert again.id == first.id


@pytest.mark.parametrize(
    "difference",
    [
        {"payload": {"order": 2}},
        {"resourceId": "other"},
        {"resourceType": "other"},
        {"environment": "other"},
        {"type": "order.refunded"},
    ],
    ids=lambda difference: next(iter(difference)),
)
async def test_a_key_cannot_be_used_again_for_other_content(
    pulse: PulseTest, difference: dict[str, object]
) -> None:
    pulse.signal("order.paid")
    pulse.signal("order.refunded")
    signal: dict[str, object] = {
        "tenantId": "tenant-a",
        "source": "test",
        "type": "order.paid",
        "payload": {"order": 1},
        "idempotencyKey": KEY,
    }
    first = await pulse.engine.emit(signal)

    with pytest.raises(IdempotencyConflictError, match="whose content differs") as caught:
        await pulse.engine.emit({**signal, **difference})

    assert caught.value.trigger_id == first.id


async def test_every_tenant_has_keys_of_its_own(pulse: PulseTest) -> None:
    pulse.signal("order.paid")

    here = await pulse.emit("order.paid", {"order": 1}, idempotencyKey=KEY)
    there = await pulse.emit("order.paid", {"order": 2}, tenant_id="tenant-b", idempotencyKey=KEY)

    assert there.id != here.id
    assert not there.duplicate


async def test_without_a_key_equal_emits_are_different_signals(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    first = await pulse.emit("order.paid", {"order": 1})
    second = await pulse.emit("order.paid", {"order": 1})

    assert first.id != second.id
    assert len((await pulse.engine.list_runs()).items) == 2


async def test_of_twenty_emits_at_once_one_is_stored(pulse: PulseTest) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")

    envelopes = await asyncio.gather(
        *(pulse.emit("order.paid", {"order": 1}, idempotencyKey=KEY) for _ in range(20))
    )
    run = await pulse.engine.wait_for_run(envelopes[0].run_ids[0])

    assert len({envelope.id for envelope in envelopes}) == 1
    assert sorted(envelope.duplicate for envelope in envelopes) == [False] + [True] * 19
    assert {envelope.run_ids for envelope in envelopes} == {(run.id,)}
    assert pay.call_count == 1
