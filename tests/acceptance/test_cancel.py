"""A cancel is final the moment it returns."""

from __future__ import annotations

import asyncio
import threading

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from pulse_temporal import NotFoundError, RunTransitionError, WorkflowContext
from pulse_temporal.testing import action, delay, parallel
from tests.harness import PulseTest, eventually

HOUR_MS = 3_600_000


async def closed_status(pulse: PulseTest, run_id: str) -> WorkflowExecutionStatus:
    """Wait until a run's workflow has closed in Temporal, and tell how."""
    handle = await pulse.workflow(run_id)

    async def look() -> WorkflowExecutionStatus | None:
        status = (await handle.describe()).status
        return None if status == WorkflowExecutionStatus.RUNNING else status

    return await eventually(look)


async def test_a_waiting_run_can_be_canceled(pulse: PulseTest) -> None:
    after = pulse.action("after")
    await pulse.define("order.paid", delay("cool down", HOUR_MS), "after")
    trigger = await pulse.emit("order.paid")
    await pulse.wait_for_status(trigger.run_ids[0], "waiting")

    run = await pulse.engine.cancel_run(trigger.run_ids[0], "customer changed their mind")

    assert (run.status, run.cancel_reason) == ("canceled", "customer changed their mind")
    assert run.canceled_at is not None
    assert await pulse.statuses(run.id) == {"0": "skipped", "1": "skipped"}
    assert await closed_status(pulse, run.id) == WorkflowExecutionStatus.CANCELED
    assert after.call_count == 0
    assert await pulse.engine.get_run(run.id) == run


async def test_a_run_that_has_not_begun_can_be_canceled(idle_pulse: PulseTest) -> None:
    """It never begins, not even when an engine comes later."""
    pulse = idle_pulse
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")
    trigger = await pulse.emit("order.paid")

    run = await pulse.engine.cancel_run(trigger.run_ids[0])
    await pulse.engine.start()
    later = await pulse.emit_and_wait("order.paid")

    assert (run.status, run.started_at) == ("canceled", None)
    assert [ctx.run.id for ctx in pay.calls] == [later.id]
    assert await pulse.timeline(run.id) == ["run_created", "step_skipped pay", "run_canceled"]


async def test_a_handler_at_work_is_told(pulse: PulseTest) -> None:
    entered = asyncio.Event()
    told = asyncio.Event()

    @pulse.engine.action("pay")
    async def pay(ctx: WorkflowContext) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            if ctx.canceled:
                told.set()

    await pulse.define("order.paid", "pay", action("more", uses="pay"))
    trigger = await pulse.emit("order.paid")
    async with asyncio.timeout(10):
        await entered.wait()

    run = await pulse.engine.cancel_run(trigger.run_ids[0], "stop")

    async with asyncio.timeout(10):
        await told.wait()
    steps = await pulse.steps(run.id)
    assert (steps["0"].status, steps["0"].error_message) == ("failed", "canceled")
    assert (steps["1"].status, steps["1"].skipped_by) == ("skipped", "canceled")
    assert await closed_status(pulse, run.id) == WorkflowExecutionStatus.CANCELED


async def test_a_short_step_at_work_is_canceled_too(pulse: PulseTest) -> None:
    """A step of at most two seconds is not told, but what it returns is not recorded any more."""
    gate = pulse.gate("pay", returns={"paid": True})
    after = pulse.action("after")
    await pulse.define("order.paid", action("pay", timeoutMs=2_000), "after")
    trigger = await pulse.emit("order.paid")
    await gate.reached()

    run = await pulse.engine.cancel_run(trigger.run_ids[0])
    gate.open()

    assert await closed_status(pulse, run.id) == WorkflowExecutionStatus.CANCELED
    assert await pulse.engine.get_run(run.id) == run
    assert await pulse.statuses(run.id) == {"0": "failed", "1": "skipped"}
    assert after.call_count == 0


async def test_a_handler_that_finishes_after_the_cancel_changes_nothing(
    pulse: PulseTest,
) -> None:
    """A sync handler cannot be stopped; that it went on is told in the run's log."""
    entered = asyncio.Event()
    release = threading.Event()
    loop = asyncio.get_running_loop()

    @pulse.engine.action("pay")
    def pay(_: WorkflowContext) -> dict[str, object]:
        loop.call_soon_threadsafe(entered.set)
        release.wait(10)
        return {"paid": True}

    after = pulse.action("after")
    await pulse.define("order.paid", "pay", "after")
    trigger = await pulse.emit("order.paid")
    async with asyncio.timeout(10):
        await entered.wait()

    canceled = await pulse.engine.cancel_run(trigger.run_ids[0])
    release.set()
    assert await closed_status(pulse, canceled.id) == WorkflowExecutionStatus.CANCELED

    assert await pulse.engine.get_run(canceled.id) == canceled
    assert await pulse.statuses(canceled.id) == {"0": "failed", "1": "skipped"}
    assert after.call_count == 0


async def test_every_branch_of_a_canceled_run_stops(pulse: PulseTest) -> None:
    left = pulse.gate("left")
    right = pulse.gate("right")
    after = pulse.action("after")
    await pulse.define(
        "order.paid",
        parallel("all", ["left", "after"], ["right"], [delay("cool down", HOUR_MS)]),
        action("end", uses="after"),
    )
    trigger = await pulse.emit("order.paid")
    await left.reached()
    await right.reached()
    await pulse.wait_for_step(trigger.run_ids[0], "0/b2/0", "scheduled")

    run = await pulse.engine.cancel_run(trigger.run_ids[0])

    assert await pulse.statuses(run.id) == {
        "0": "failed",
        "0/b0/0": "failed",
        "0/b0/1": "skipped",
        "0/b1/0": "failed",
        "0/b2/0": "skipped",
        "1": "skipped",
    }
    for workflow_id in (run.id, *(f"{run.id}/0/b{branch}" for branch in range(3))):
        assert await closed_status(pulse, workflow_id) == WorkflowExecutionStatus.CANCELED
    assert after.call_count == 0


async def test_a_run_between_two_attempts_can_be_canceled(pulse: PulseTest) -> None:
    pay = pulse.action("pay", fails=9)
    policy = {"maxAttempts": 2, "backoffMs": 300_000}
    await pulse.define("order.paid", action("pay", retryPolicy=policy))
    trigger = await pulse.emit("order.paid")
    await pulse.wait_for_step(trigger.run_ids[0], "0", "scheduled")

    run = await pulse.engine.cancel_run(trigger.run_ids[0])

    assert await closed_status(pulse, run.id) == WorkflowExecutionStatus.CANCELED
    assert pay.call_count == 1
    step = (await pulse.steps(run.id))["0"]
    assert (step.status, step.next_attempt_at) == ("skipped", None)


async def test_a_transactional_action_commits_nothing_after_the_cancel(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute("CREATE TABLE payments (run_id text)")
    entered = asyncio.Event()
    release = asyncio.Event()

    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> None:
        await ctx.connection.execute("INSERT INTO payments VALUES ($1)", ctx.run.id)
        entered.set()
        while not release.is_set():  # deaf to cancellation until the test lets it go
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    await pulse.define("order.paid", "pay")
    trigger = await pulse.emit("order.paid")
    async with asyncio.timeout(10):
        await entered.wait()

    run = await pulse.engine.cancel_run(trigger.run_ids[0])
    release.set()

    assert await closed_status(pulse, run.id) == WorkflowExecutionStatus.CANCELED
    assert await connection.fetchval("SELECT count(*) FROM payments") == 0


async def test_the_timeline_ends_with_the_cancel_and_its_reason(pulse: PulseTest) -> None:
    gate = pulse.gate("pay")
    await pulse.define("order.paid", "pay", delay("cool down", HOUR_MS))
    trigger = await pulse.emit("order.paid")
    await gate.reached()

    run = await pulse.engine.cancel_run(trigger.run_ids[0], "stop")

    entries = await pulse.engine.get_run_timeline(run.id)
    assert [entry.type for entry in entries] == [
        "run_created",
        "step_started",
        "step_failed",
        "step_skipped",
        "run_canceled",
    ]
    assert entries[-1].detail == {"reason": "stop"}
    assert await closed_status(pulse, run.id) == WorkflowExecutionStatus.CANCELED


async def test_a_run_that_is_over_cannot_be_canceled(pulse: PulseTest) -> None:
    pulse.action("fails", fails=9)
    await pulse.define("good")
    await pulse.define("bad", "fails")
    await pulse.define("long", delay("cool down", HOUR_MS))
    completed = await pulse.emit_and_wait("good")
    failed = await pulse.emit_and_wait("bad")
    canceled = await pulse.engine.cancel_run((await pulse.emit("long")).run_ids[0])

    for run in (completed, failed, canceled):
        with pytest.raises(RunTransitionError, match=f"is '{run.status}' and cannot become"):
            await pulse.engine.cancel_run(run.id)
        assert await pulse.engine.get_run(run.id) == run


async def test_of_two_cancels_at_once_one_wins(pulse: PulseTest) -> None:
    await pulse.define("order.paid", delay("cool down", HOUR_MS))
    trigger = await pulse.emit("order.paid")
    await pulse.wait_for_status(trigger.run_ids[0], "waiting")

    outcomes = await asyncio.gather(
        *(pulse.engine.cancel_run(trigger.run_ids[0], f"{number}") for number in range(5)),
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, RunTransitionError)]
    assert len(refused) == 4
    lines = await pulse.timeline(trigger.run_ids[0])
    assert lines.count("run_canceled") == 1


async def test_an_unknown_run_cannot_be_canceled(idle_pulse: PulseTest) -> None:
    with pytest.raises(NotFoundError, match="run_nobody"):
        await idle_pulse.engine.cancel_run("run_nobody")
