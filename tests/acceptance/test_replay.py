"""A stored signal runs again: with today's definitions, without repeating side effects."""

from __future__ import annotations

import pytest

from pulse_temporal import NotFoundError, TriggerEnvelope, WorkflowContext, WorkflowRun
from tests.harness import SOURCE, PulseTest, condition, delay, parallel

HOUR_MS = 3_600_000


async def replay_and_wait(
    pulse: PulseTest, trigger_id: str, *, dry_run: bool = False
) -> WorkflowRun:
    """Replay a signal that matches one definition and wait for the run to be over."""
    (run,) = await pulse.engine.replay(trigger_id, dry_run=dry_run)
    return await pulse.engine.wait_for_run(run.id)


async def test_a_replay_starts_new_runs_for_the_same_signal(pulse: PulseTest) -> None:
    safe = pulse.action("safe", replay_safe=True)
    await pulse.define("order.paid", "safe")
    first = await pulse.emit_and_wait("order.paid", {"order": "o-1"})

    run = await replay_and_wait(pulse, first.trigger_id)

    assert run.id != first.id
    assert (run.trigger_id, run.status) == (first.trigger_id, "completed")
    assert (first.is_replay, run.is_replay, run.is_dry_run) == (False, True, False)
    assert [ctx.is_replay for ctx in safe.contexts] == [False, True]
    assert [ctx.trigger.payload for ctx in safe.contexts] == [{"order": "o-1"}] * 2


async def test_actions_that_are_not_safe_are_skipped_and_hand_on_their_result(
    pulse: PulseTest,
) -> None:
    """What follows sees what the original run recorded."""
    charge = pulse.action("charge", returns={"receipt": "r-1"})
    report = pulse.action("report", replay_safe=True)
    await pulse.define("order.paid", "charge", "report")
    first = await pulse.emit_and_wait("order.paid")

    run = await replay_and_wait(pulse, first.trigger_id)

    steps = await pulse.steps(run.id)
    assert (charge.calls, report.calls) == (1, 2)
    assert (steps["0"].status, steps["0"].skipped_by) == ("skipped", "replay")
    assert steps["0"].result == {"receipt": "r-1"}
    assert report.contexts[1].run.context == {"charge": {"receipt": "r-1"}}
    assert run.context == {"charge": {"receipt": "r-1"}}


async def test_in_branches_too_unsafe_actions_are_skipped(pulse: PulseTest) -> None:
    email = pulse.action("email")
    count = pulse.action("count", replay_safe=True)
    await pulse.define("order.paid", parallel("tell", ["email"], ["count"]))
    first = await pulse.emit_and_wait("order.paid")

    run = await replay_and_wait(pulse, first.trigger_id)

    assert (email.calls, count.calls) == (1, 2)
    assert await pulse.statuses(run.id) == {
        "0": "completed",
        "0/b0/0": "skipped",
        "0/b1/0": "completed",
    }


async def test_conditions_are_asked_again(pulse: PulseTest) -> None:
    check = pulse.condition("check")
    await pulse.define("order.paid", condition("check"))
    first = await pulse.emit_and_wait("order.paid")

    await replay_and_wait(pulse, first.trigger_id)

    assert check.calls == 2


async def test_a_replay_uses_the_definitions_that_match_now(pulse: PulseTest) -> None:
    pulse.action("old", replay_safe=True)
    new = pulse.action("new", replay_safe=True)
    retired = await pulse.define("order.paid", "old")
    first = await pulse.emit_and_wait("order.paid")
    await pulse.engine.disable_workflow(retired.id)
    one = await pulse.define("order.paid", "new")
    two = await pulse.define("order.paid", "new")

    runs = await pulse.engine.replay(first.trigger_id)

    for run in runs:
        await pulse.engine.wait_for_run(run.id)
    assert [run.definition_id for run in runs] == [one.id, two.id]
    assert new.calls == 2


async def test_a_signal_that_matches_nothing_now_gives_no_run(pulse: PulseTest) -> None:
    definition = await pulse.define("order.paid")
    first = await pulse.emit_and_wait("order.paid")
    await pulse.engine.delete_workflow(definition.id)

    assert await pulse.engine.replay(first.trigger_id) == []


async def test_signals_of_a_replayed_run_are_replays_too(pulse: PulseTest) -> None:
    ship = pulse.action("ship")
    emitted: list[TriggerEnvelope] = []

    async def announce(ctx: WorkflowContext) -> None:
        emitted.append(await ctx.emit({"source": SOURCE, "type": "order.ready"}))

    pulse.engine.register_action("announce", announce, replay_safe=True)
    await pulse.define("order.paid", "announce")
    await pulse.define("order.ready", "ship")
    first = await pulse.emit_and_wait("order.paid")

    await replay_and_wait(pulse, first.trigger_id)
    for envelope in emitted:
        await pulse.engine.wait_for_run(envelope.run_ids[0])

    original, again = emitted
    assert original.id != again.id
    assert (original.is_replay, again.is_replay) == (False, True)
    run = await pulse.engine.get_run(again.run_ids[0])
    assert run is not None
    assert run.is_replay
    assert ship.calls == 1


async def test_a_dry_run_asks_conditions_and_does_nothing_else(pulse: PulseTest) -> None:
    check = pulse.condition("check")
    charge = pulse.action("charge", replay_safe=True)
    await pulse.define("order.paid", condition("check"), delay("pause", HOUR_MS), "charge")
    trigger = await pulse.emit("order.paid")
    await pulse.engine.cancel_run(trigger.run_ids[0])
    asked = check.calls

    run = await replay_and_wait(pulse, trigger.id, dry_run=True)

    steps = await pulse.steps(run.id)
    assert (run.status, run.is_replay, run.is_dry_run) == ("completed", True, True)
    assert (check.calls - asked, charge.calls) == (1, 0)
    assert steps["0"].result == {"value": True}
    assert [steps[path].skipped_by for path in ("1", "2")] == ["dry run", "dry run"]


async def test_a_dry_run_shows_which_way_a_condition_sends_it(pulse: PulseTest) -> None:
    pulse.condition("check", returns=False)
    pulse.action("charge", replay_safe=True)
    await pulse.define("order.paid", condition("check"), "charge")
    first = await pulse.emit_and_wait("order.paid")

    run = await replay_and_wait(pulse, first.trigger_id, dry_run=True)

    steps = await pulse.steps(run.id)
    assert (steps["1"].status, steps["1"].skipped_by) == ("skipped", "0")


async def test_a_condition_in_a_dry_run_emits_nothing(pulse: PulseTest) -> None:
    async def check(ctx: WorkflowContext) -> bool:
        envelope = await ctx.emit({"source": SOURCE, "type": "order.seen"})
        return envelope.run_ids == ()

    pulse.engine.register_condition("check", check)
    pulse.signal("order.seen")
    await pulse.define("order.paid", condition("check"))
    first = await pulse.emit_and_wait("order.paid")
    seen = await pulse.define("order.seen")

    run = await replay_and_wait(pulse, first.trigger_id, dry_run=True)

    runs = await pulse.engine.list_runs()
    assert run.status == "completed"
    assert seen.id not in {listed.definition_id for listed in runs.items}


async def test_a_failed_replay_can_be_retried(pulse: PulseTest) -> None:
    charge = pulse.action("charge")
    report = pulse.action("report", fails=1, replay_safe=True)
    await pulse.define("order.paid", "charge", "report")
    first = await pulse.emit_and_wait("order.paid")
    await pulse.engine.retry_run(first.id)
    await pulse.engine.wait_for_run(first.id)
    report.fails = 3

    failed = await replay_and_wait(pulse, first.trigger_id)
    await pulse.engine.retry_run(failed.id)
    run = await pulse.engine.wait_for_run(failed.id)

    assert (failed.status, run.status) == ("failed", "completed")
    assert run.is_replay
    assert (charge.calls, report.calls) == (1, 4)


async def test_an_unknown_trigger_cannot_be_replayed(pulse: PulseTest) -> None:
    await pulse.define("order.paid")
    first = await pulse.emit_and_wait("order.paid")

    with pytest.raises(NotFoundError, match="There is no trigger trg_nobody"):
        await pulse.engine.replay("trg_nobody")
    with pytest.raises(NotFoundError):
        await pulse.engine.replay(first.trigger_id, tenant_id="somebody-else")
