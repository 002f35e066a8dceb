"""A stored signal runs again; what must not happen twice does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from pulse_temporal import (
    IdempotencyConflictError,
    InvalidInputError,
    NotFoundError,
    PostgresUnavailableError,
    TransactionInDoubtError,
    WorkflowContext,
    WorkflowRun,
)
from pulse_temporal.services.runs.history import History
from pulse_temporal.testing import action, condition, delay
from tests.harness import SOURCE, PulseTest


async def replayed(pulse: PulseTest, run: WorkflowRun, *, dry_run: bool = False) -> WorkflowRun:
    """Replay a run's signal and wait for the one run that it starts."""
    (again,) = await pulse.engine.replay(run.trigger_id, dry_run=dry_run)
    assert again.is_replay
    return await pulse.engine.wait_for_run(again.id)


async def test_safe_actions_run_again_and_others_are_skipped(pulse: PulseTest) -> None:
    """A skipped action hands on what it returned in the original run."""
    safe = pulse.action("create", replay_safe=True, returns={"id": 7})
    unsafe = pulse.action("mail", returns={"sent": True})
    last = pulse.action("last", replay_safe=True)
    await pulse.define("alert", "create", "mail", "last")
    original = await pulse.emit_and_wait("alert", {"n": 1})

    again = await replayed(pulse, original)

    assert (again.status, again.trigger_id) == ("completed", original.trigger_id)
    assert (safe.call_count, unsafe.call_count, last.call_count) == (2, 1, 2)
    assert last.calls[1].run.context == {"create": {"id": 7}, "mail": {"sent": True}}
    assert last.calls[1].is_replay
    step = (await pulse.steps(again.id))["1"]
    assert (step.status, step.skipped_by, step.result) == ("skipped", "replay", {"sent": True})


async def test_the_definitions_that_match_now_run(pulse: PulseTest) -> None:
    """A definition made after the signal runs too; a disabled one does not."""
    pulse.action("work", replay_safe=True)
    first = await pulse.define("alert", "work", name="first")
    original = await pulse.emit_and_wait("alert")
    second = await pulse.define("alert", "work", name="second")
    await pulse.engine.disable_workflow(first.id)
    runs = await pulse.engine.replay(original.trigger_id)
    assert [run.definition_id for run in runs] == [second.id]
    assert (await pulse.engine.wait_for_run(runs[0].id)).status == "completed"


async def test_a_dry_run_only_asks_conditions(pulse: PulseTest) -> None:
    """Actions and delays are skipped, even safe ones, and nothing is emitted."""
    emitted: list[str] = []

    @pulse.engine.condition("emits")
    async def emits(ctx: WorkflowContext) -> bool:
        trigger = await ctx.emit({"source": SOURCE, "type": "caused"})
        emitted.append(trigger.id)
        return True

    work = pulse.action("work", replay_safe=True)
    pulse.signal("caused")
    await pulse.define("alert", condition("emits"), delay("pause", 200), "work")
    original = await pulse.emit_and_wait("alert")
    again = await replayed(pulse, original, dry_run=True)

    assert (again.status, again.is_dry_run, work.call_count) == ("completed", True, 1)
    assert await pulse.statuses(again.id) == {"0": "completed", "1": "skipped", "2": "skipped"}
    stored, unsent = emitted
    assert await pulse.engine.get_trigger(stored) is not None
    assert await pulse.engine.get_trigger(unsent) is None


async def test_what_a_replay_emits_is_marked(pulse: PulseTest) -> None:
    """Runs that follow from a replay are replays."""

    @pulse.engine.action("cause", replay_safe=True)
    async def cause(ctx: WorkflowContext) -> dict[str, object]:
        trigger = await ctx.emit({"source": SOURCE, "type": "caused"})
        return {"run": trigger.run_ids[0], "is_replay": trigger.is_replay}

    pulse.action("effect")
    await pulse.define("caused", "effect")
    await pulse.define("alert", "cause")
    assert callable(cause)
    original = await pulse.emit_and_wait("alert")
    again = await replayed(pulse, original)
    results = [run.context["cause"] for run in (original, again)]
    marks: list[bool] = []
    for result in results:
        assert isinstance(result, dict)
        follower = await pulse.engine.wait_for_run(str(result["run"]))
        marks.append(follower.is_replay)
    assert marks == [False, True]


async def test_a_failed_replay_can_be_retried(pulse: PulseTest) -> None:
    """It stays a replay: unsafe actions are skipped in the new generation too."""
    unsafe = pulse.action("mail")
    pulse.action("flaky", replay_safe=True, fails=2)
    await pulse.define("alert", "flaky", "mail")
    original = await pulse.emit_and_wait("alert")
    again = await replayed(pulse, original)
    assert again.status == "failed"
    await pulse.engine.retry_run(again.id)
    run = await pulse.engine.wait_for_run(again.id)
    assert (run.status, unsafe.call_count) == ("completed", 0)


async def test_a_signal_that_matches_nothing_starts_nothing(pulse: PulseTest) -> None:
    """An empty list is the answer; an unknown trigger is an error, as is another tenant's."""
    pulse.signal("alert")
    trigger = await pulse.emit("alert")
    assert await pulse.engine.replay(trigger.id) == []
    for trigger_id, tenant_id in ((trigger.id, "tenant-b"), ("trg_unknown", None)):
        with pytest.raises(NotFoundError):
            await pulse.engine.replay(trigger_id, tenant_id=tenant_id)


async def test_an_action_that_stops_being_safe_is_skipped_from_then_on(pulse: PulseTest) -> None:
    """A deployment between two attempts decides for the attempts that follow."""
    actions = pulse.engine.registry.actions

    async def flaky(ctx: WorkflowContext) -> None:
        if ctx.is_replay:
            actions["flaky"] = replace(actions["flaky"], replay_safe=False)
            raise RuntimeError("fails once, then another release is there")

    pulse.engine.register_action("flaky", flaky, replay_safe=True)
    policy = {"maxAttempts": 3, "backoffMs": 100}
    await pulse.define("alert", action("flaky", retryPolicy=policy))
    original = await pulse.emit_and_wait("alert")
    again = await replayed(pulse, original)
    assert again.status == "completed"
    assert await pulse.statuses(again.id) == {"0": "skipped"}


async def test_a_replay_whose_runs_cannot_be_read_names_them(
    pulse: PulseTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error as if nothing had happened would make callers replay twice."""
    pulse.action("work", replay_safe=True)
    await pulse.define("alert", "work")
    original = await pulse.emit_and_wait("alert")

    async def away(*_: object) -> list[WorkflowRun]:
        raise PostgresUnavailableError("Postgres is away right after the commit")

    with monkeypatch.context() as patch:
        patch.setattr(History, "read_runs", away)
        with pytest.raises(TransactionInDoubtError, match="twice") as raised:
            await pulse.engine.replay(original.trigger_id)

    (again,) = [run for run in (await pulse.engine.list_runs()).items if run.is_replay]
    assert again.id in str(raised.value)
    assert not raised.value.retryable
    assert (await pulse.engine.wait_for_run(again.id)).status == "completed"


async def test_a_repeated_replay_with_the_same_key_starts_nothing(pulse: PulseTest) -> None:
    """Also when both come at the same moment; another tenant's key is another key."""
    pulse.action("create", replay_safe=True)
    await pulse.define("alert", "create")
    original = await pulse.emit_and_wait("alert")
    replay = partial(pulse.engine.replay, original.trigger_id, idempotency_key="click-1")

    at_once = await asyncio.gather(*(replay() for _ in range(5)))
    later = await replay()

    ids = {run.id for runs in (*at_once, later) for run in runs}
    assert len(ids) == 1
    assert len((await pulse.engine.get_runs_by_trigger(original.trigger_id)).items) == 2
    assert (await pulse.engine.wait_for_run(ids.pop())).status == "completed"
    (other,) = await pulse.engine.replay(original.trigger_id, idempotency_key="click-2")
    assert (await pulse.engine.wait_for_run(other.id)).is_replay


async def test_the_key_of_a_replay_stands_for_one_replay(pulse: PulseTest) -> None:
    pulse.action("create", replay_safe=True)
    await pulse.define("alert", "create")
    first, second = await pulse.emit_and_wait("alert"), await pulse.emit_and_wait("alert")
    await pulse.engine.replay(first.trigger_id, idempotency_key="k")

    with pytest.raises(IdempotencyConflictError, match=first.trigger_id):
        await pulse.engine.replay(second.trigger_id, idempotency_key="k")
    with pytest.raises(IdempotencyConflictError, match="'k' belongs to a replay of"):
        await pulse.engine.replay(first.trigger_id, dry_run=True, idempotency_key="k")
    for key in ("", "a\0b", "x" * 201):
        with pytest.raises(InvalidInputError, match="idempotency_key"):
            await pulse.engine.replay(first.trigger_id, idempotency_key=key)


async def test_a_replay_with_a_key_that_matches_nothing_is_remembered_too(
    pulse: PulseTest,
) -> None:
    pulse.action("create", replay_safe=True)
    definition = await pulse.define("alert", "create")
    original = await pulse.emit_and_wait("alert")
    await pulse.engine.disable_workflow(definition.id)
    assert await pulse.engine.replay(original.trigger_id, idempotency_key="k") == []
    await pulse.engine.enable_workflow(definition.id)
    assert await pulse.engine.replay(original.trigger_id, idempotency_key="k") == []
