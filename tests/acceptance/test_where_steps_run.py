"""Which steps run inside the worker that has the run, and which go through the task queue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import PulseTest, make_pulse

SHORT = 1_000
LIMIT = timedelta(milliseconds=300)


async def queued_types(pulse: PulseTest, run_id: str) -> list[str]:
    """Return the activities that went through the task queue, in order."""
    history = await pulse.history(run_id)
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]


async def local_types(pulse: PulseTest, run_id: str) -> int:
    """Count the deliveries that ran inside the worker."""
    history = await pulse.history(run_id)
    kinds = [event.event_type for event in history.events]
    return kinds.count(EventType.EVENT_TYPE_MARKER_RECORDED)


async def test_what_a_step_declares_decides(pulse: PulseTest) -> None:
    pulse.action("act")
    pulse.condition("ask")
    await pulse.define(
        "order.paid",
        action("short", uses="act", timeoutMs=SHORT),
        action("long", uses="act", timeoutMs=60_000),
        action("silent", uses="act"),
        condition("ask"),
        condition("ask_long", uses="ask", timeoutMs=60_000),
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await queued_types(pulse, run.id) == ["act", "act", "ask"]
    assert await local_types(pulse, run.id) == 2


async def test_a_handler_can_insist_on_the_task_queue(pulse: PulseTest) -> None:
    async def act(_: WorkflowContext) -> None: ...

    async def ask(_: WorkflowContext) -> bool:
        return True

    pulse.engine.register_action("act", act, queued=True)
    pulse.engine.register_condition("ask", ask, queued=True)
    await pulse.define("order.paid", action("act", timeoutMs=SHORT), condition("ask"))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await queued_types(pulse, run.id) == ["act", "ask"]


@pytest.mark.parametrize("before", [[], ["act"]], ids=["first", "second"])
async def test_a_condition_that_takes_long_is_asked_again_through_the_queue(
    servers: EmbeddedServices, database: str, before: list[str]
) -> None:
    """It has the whole time there, and the first asking costs no attempt."""
    pulse = make_pulse(database, servers.temporal_address, local_activity_limit=LIMIT)
    asked: list[int] = []

    async def ask(ctx: WorkflowContext) -> bool:
        asked.append(ctx.step.attempt)
        ctx.log("asked")
        await asyncio.sleep(LIMIT.total_seconds() * 2)
        return False

    pulse.engine.register_condition("ask", ask)
    pulse.action("act")
    await pulse.define("order.paid", *before, condition("ask"), action("then", uses="act"))
    async with pulse.engine:
        run = await pulse.emit_and_wait("order.paid")
        statuses = list((await pulse.statuses(run.id)).values())

        assert run.status == "completed", run.error_message
        assert asked == [1, 1]
        kinds = {entry.type for entry in await pulse.engine.get_run_timeline(run.id)}
        assert "step_failed" not in kinds
        messages = [line.message for line in await pulse.engine.get_run_logs(run.id)]
        assert messages == ["asked", "asked"]
        assert statuses[-2:] == ["completed", "skipped"]
        assert (await queued_types(pulse, run.id))[-1] == "ask"


async def test_without_local_activities_all_steps_are_queued(
    servers: EmbeddedServices, database: str
) -> None:
    pulse = make_pulse(database, servers.temporal_address, local_activity_limit=timedelta())
    pulse.action("act")
    pulse.condition("ask")
    await pulse.define("order.paid", condition("ask"), action("act", timeoutMs=SHORT))
    async with pulse.engine:
        run = await pulse.emit_and_wait("order.paid")

        assert run.status == "completed"
        assert await queued_types(pulse, run.id) == ["ask", "act"]


@pytest.mark.parametrize("timeout_ms", [SHORT, 60_000], ids=["short", "queued"])
async def test_one_step_begins_and_ends_its_run(pulse: PulseTest, timeout_ms: int) -> None:
    """The mirror says all that it says of longer runs, in the same order."""
    probe = pulse.action("act", returns={"n": 1})
    await pulse.define("order.paid", action("act", timeoutMs=timeout_ms))

    run = await pulse.emit_and_wait("order.paid")
    entries = await pulse.engine.get_run_timeline(run.id)
    (ctx,) = probe.calls

    assert (ctx.run.status, ctx.run.started_at is not None) == ("running", True)
    assert (run.status, run.context) == ("completed", {"act": {"n": 1}})
    assert run.started_at is not None
    assert run.completed_at is not None
    assert run.started_at <= run.completed_at <= run.updated_at
    kinds = [entry.type for entry in entries if entry.type != "log"]
    assert kinds[-3:] == ["step_started", "step_completed", "run_completed"]


async def test_a_block_begins_and_ends_its_run(pulse: PulseTest) -> None:
    pulse.action("act", returns={"n": 1})
    inner = parallel("inner", [action("c", uses="act")], [delay("pause", 100)])
    await pulse.define("order.paid", parallel("both", [action("a", uses="act")], [inner]))

    run = await pulse.emit_and_wait("order.paid")
    entries = await pulse.engine.get_run_timeline(run.id)

    assert (run.status, set(run.context)) == ("completed", {"a", "c"})
    kinds = [(entry.type, entry.path) for entry in entries if entry.type != "log"]
    assert kinds[-2:] == [("step_completed", "0"), ("run_completed", None)]
    assert set((await pulse.statuses(run.id)).values()) == {"completed"}


@pytest.mark.parametrize("timeout_ms", [SHORT, 60_000], ids=["short", "queued"])
async def test_a_first_step_that_fails_is_tried_again(pulse: PulseTest, timeout_ms: int) -> None:
    probe = pulse.action("act", fails=2)
    policy = {"maxAttempts": 3, "backoffMs": 100}
    await pulse.define(
        "order.paid",
        action("act", timeoutMs=timeout_ms, retryPolicy=policy),
        action("b", uses="act"),
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed", run.error_message
    assert [ctx.step.attempt for ctx in probe.calls] == [1, 2, 3, 1]


@pytest.mark.parametrize("timeout_ms", [SHORT, 60_000], ids=["short", "queued"])
async def test_a_first_step_that_fails_for_good_fails_the_run(
    pulse: PulseTest, timeout_ms: int
) -> None:
    probe = pulse.action("act", fails=9)
    await pulse.define("order.paid", action("act", timeoutMs=timeout_ms))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert probe.call_count == 1


async def test_a_first_step_in_a_transaction_begins_its_run(pulse: PulseTest) -> None:
    async def act(ctx: WorkflowContext) -> dict[str, object]:
        return {"one": await ctx.connection.fetchval("SELECT 1")}

    pulse.engine.register_action("act", act, transactional=True)
    await pulse.define("order.paid", action("act", timeoutMs=SHORT))

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, run.context) == ("completed", {"act": {"one": 1}})
    assert await queued_types(pulse, run.id) == ["act"]


async def test_a_condition_that_was_slow_once_is_not_tried_again(
    servers: EmbeddedServices, database: str
) -> None:
    pulse = make_pulse(database, servers.temporal_address, local_activity_limit=LIMIT)
    asked: list[str] = []

    async def ask(ctx: WorkflowContext) -> bool:
        asked.append(ctx.run.id)
        await asyncio.sleep(LIMIT.total_seconds() * 2)
        return True

    pulse.engine.register_condition("ask", ask)
    await pulse.define("order.paid", condition("ask"))
    async with pulse.engine:
        first = await pulse.emit_and_wait("order.paid")
        second = await pulse.emit_and_wait("order.paid")

        assert asked == [first.id, first.id, second.id]
        assert await queued_types(pulse, second.id) == ["ask"]


async def test_a_thread_is_not_tried(pulse: PulseTest) -> None:
    """It could not be called back."""
    pulse.engine.register_condition("ask", lambda _: True)
    pulse.action("act")
    await pulse.define("order.paid", condition("ask"), action("act"))

    run = await pulse.emit_and_wait("order.paid")

    assert await queued_types(pulse, run.id) == ["ask", "act"]


async def test_the_workers_options_hold_whoever_emits(
    servers: EmbeddedServices, database: str
) -> None:
    """The process that starts a run may have other ones than the one that works."""
    works = make_pulse(
        database,
        servers.temporal_address,
        action_timeout=timedelta(seconds=30),
        local_activity_limit=timedelta(),
    )
    emits = make_pulse(
        database,
        servers.temporal_address,
        like=works,
        action_timeout=timedelta(milliseconds=200),
    )

    async def act(_: WorkflowContext) -> None:
        await asyncio.sleep(0.5)

    for each in (works, emits):
        each.engine.register_action("act", act)
        each.condition("ask")
    async with works.engine:
        await emits.engine.start(worker=False)
        await emits.define("order.paid", "act", action("again", uses="act"))
        await emits.define("order.asked", condition("ask", timeoutMs=SHORT))
        paid = (await emits.emit("order.paid")).run_ids[0]
        asked = (await emits.emit("order.asked")).run_ids[0]

        assert (await works.engine.wait_for_run(paid, timeout=20)).status == "completed"
        assert (await works.engine.wait_for_run(asked, timeout=20)).status == "completed"
        assert await queued_types(works, asked) == ["ask"]
        await emits.engine.stop()
