"""What handlers and readers are given is theirs: changing it changes no other run."""

from __future__ import annotations

from copy import copy

from pulse_temporal import WorkflowContext
from pulse_temporal.store.snapshots import KEPT_CHARS, KeptSnapshots, own_snapshot
from tests.harness import SOURCE, TENANT, PulseTest


async def test_a_handler_may_change_all_that_it_is_given(pulse: PulseTest) -> None:
    seen: list[tuple[object, object, object]] = []

    @pulse.engine.action("mail")
    async def mail(ctx: WorkflowContext) -> None:
        snapshot = ctx.run.definition_snapshot
        seen.append((copy(ctx.config["to"]), dict(snapshot.config), list(snapshot.steps)))
        to = ctx.config["to"]
        assert isinstance(to, list)
        to.append("ann@example.com")
        ctx.config["secret"] = str(ctx.trigger.payload["secret"])
        snapshot.config.clear()
        snapshot.steps.clear()
        ctx.trigger.payload.clear()
        ctx.run.context.clear()

    assert mail
    later = pulse.action("later")
    await pulse.define("order.paid", "mail", "later", config={"to": ["books@example.com"]})

    runs = [await pulse.emit_and_wait("order.paid", {"secret": n}) for n in range(2)]

    assert [run.status for run in runs] == ["completed"] * 2
    assert later.call_count == 2
    given = (["books@example.com"], {"to": ["books@example.com"]})
    assert [(before, stored) for before, stored, _ in seen] == [given] * 2
    assert seen[1][2] != []


async def test_a_reader_that_changes_a_run_changes_no_later_one(pulse: PulseTest) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")
    (listed,) = (await pulse.engine.list_runs()).items

    run.definition_snapshot.steps.clear()
    listed.definition_snapshot.steps.clear()
    again = await pulse.emit_and_wait("order.paid")

    assert (again.status, pay.call_count) == ("completed", 2)
    assert len(again.definition_snapshot.steps) == 1


async def test_an_envelope_shares_nothing_with_the_signal(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    payload: dict[str, object] = {"items": [1]}

    envelope = await pulse.emit("order.paid", payload)
    payload["items"] = []

    stored = await pulse.engine.get_trigger(envelope.id)
    assert stored is not None
    assert envelope.payload == stored.payload == {"items": [1]}


def test_parsed_snapshots_are_kept_up_to_a_size() -> None:
    kept = KeptSnapshots()
    head = '{"definitionId":"wfd_1","name":"n","triggerType":"t","steps":[],"config":{"x":"'
    texts = [f'{head}{str(n) * (KEPT_CHARS // 4)}"}}}}' for n in range(6)]
    for text in texts:
        kept.put(text, own_snapshot(text))

    assert [kept.get(text) is not None for text in texts] == [False] * 3 + [True] * 3


async def test_envelopes_of_one_idempotency_key_are_separate_copies(pulse: PulseTest) -> None:
    await pulse.define("order.paid")
    signal = {
        "tenantId": TENANT,
        "source": SOURCE,
        "type": "order.paid",
        "payload": {"order": 1},
        "idempotencyKey": "key",
    }

    first, second, third = await pulse.engine.emit_many([signal, signal, signal])
    for envelope in (first, second):
        envelope.payload.clear()

    assert first.id == second.id == third.id
    assert third.payload == {"order": 1}
