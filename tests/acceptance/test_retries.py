"""Attempts: how often a step is tried, how long it pauses, and what ends it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import pytest

from pulse_temporal import (
    ActionResult,
    NonRetryableError,
    RetryAfterError,
    RunTimelineEntry,
    WorkflowContext,
)
from pulse_temporal.testing import action
from tests.harness import PulseTest

THREE = {"maxAttempts": 3, "backoffMs": 100}


async def test_a_step_without_a_policy_is_tried_once(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=1)
    after = pulse.action("after")
    await pulse.define("order.paid", "charge", "after")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert run.error_message == "charge: RuntimeError: charge fails as scripted"
    assert (charge.call_count, after.call_count) == (1, 0)
    assert await pulse.statuses(run.id) == {"0": "failed", "1": "pending"}


async def test_a_failed_attempt_is_followed_by_another(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=2, returns={"ok": True})
    await pulse.define("order.paid", action("charge", retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert [ctx.step.attempt for ctx in charge.calls] == [1, 2, 3]
    assert run.context == {"charge": {"ok": True}}
    step = (await pulse.steps(run.id))["0"]
    assert (step.status, step.error_message) == ("completed", None)


async def test_a_step_fails_when_its_attempts_are_used_up(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=9)
    await pulse.define("order.paid", action("charge", retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert charge.call_count == 3
    step = (await pulse.steps(run.id))["0"]
    assert (step.attempt, step.max_attempts) == (3, 3)


async def test_every_attempt_is_in_the_timeline(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", action("charge", retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    assert await pulse.timeline(run.id) == [
        "run_created",
        "step_started charge",
        "step_failed charge",
        "step_started charge",
        "step_completed charge",
        "run_completed",
    ]


async def test_the_idempotency_key_is_the_same_for_every_attempt(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=2)
    await pulse.define("order.paid", action("charge", retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    assert {ctx.idempotency_key for ctx in charge.calls} == {f"{run.id}:0"}


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        ({}, [100, 200, 400]),
        ({"backoffCoefficient": 3.0}, [100, 300, 900]),
        ({"backoffCoefficient": 1.0}, [100, 100, 100]),
        ({"backoffCoefficient": 4.0, "maxBackoffMs": 150}, [100, 150, 150]),
    ],
    ids=["doubling is usual", "coefficient", "constant", "bounded"],
)
async def test_each_pause_follows_from_the_policy(
    pulse: PulseTest, policy: Mapping[str, object], pauses: list[int]
) -> None:
    pulse.action("charge", fails=9)
    policy = {"maxAttempts": 4, "backoffMs": 100, **policy}
    await pulse.define("order.paid", action("charge", retryPolicy=policy))

    run = await pulse.emit_and_wait("order.paid")

    entries = await pulse.engine.get_run_timeline(run.id)
    failures = [entry for entry in entries if entry.type == "step_failed"]
    assert [failure.detail.get("retryInMs") for failure in failures] == [*pauses, None]
    assert [failure.detail["final"] for failure in failures] == [False, False, False, True]
    assert all(gap >= pause for gap, pause in zip(gaps_ms(entries), pauses, strict=True))


def gaps_ms(entries: list[RunTimelineEntry]) -> list[float]:
    """Return the time between each failure and the attempt after it."""
    failed = [entry.timestamp for entry in entries if entry.type == "step_failed"]
    started = [entry.timestamp for entry in entries if entry.type == "step_started"]
    return [
        (again - failure) / timedelta(milliseconds=1)
        for failure, again in zip(failed, started[1:], strict=False)
    ]


async def test_a_step_between_two_attempts_shows_when_the_next_one_is_due(
    pulse: PulseTest,
) -> None:
    charge = pulse.action("charge", fails=1)
    policy = {"maxAttempts": 2, "backoffMs": 300_000}
    await pulse.define("order.paid", action("charge", retryPolicy=policy))
    trigger = await pulse.emit("order.paid")
    await pulse.wait_for_step(trigger.run_ids[0], "0", "scheduled")

    step = (await pulse.steps(trigger.run_ids[0]))["0"]

    assert (step.attempt, charge.call_count) == (1, 1)
    assert step.next_attempt_at is not None
    assert step.next_attempt_at - step.created_at >= timedelta(minutes=5)
    run = await pulse.engine.get_run(trigger.run_ids[0])
    assert run is not None
    assert run.status == "running", "a pause between attempts is not a wait"


async def fail_for_good(_: WorkflowContext) -> None:
    raise NonRetryableError("the card is stolen")


async def report_a_failure_for_good(_: WorkflowContext) -> ActionResult:
    return ActionResult(success=False, error="the card is stolen", retryable=False)


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (fail_for_good, "NonRetryableError: the card is stolen"),
        (report_a_failure_for_good, "ActionFailedError: the card is stolen"),
    ],
    ids=["error", "result"],
)
async def test_a_handler_may_rule_out_another_attempt(
    pulse: PulseTest,
    handler: Callable[[WorkflowContext], Awaitable[ActionResult | None]],
    error: str,
) -> None:
    pulse.engine.register_action("charge", handler)
    await pulse.define("order.paid", action("charge", retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    step = (await pulse.steps(run.id))["0"]
    assert (step.status, step.attempt) == ("failed", 1)
    assert step.error_message == error


async def test_an_action_may_report_a_failure_instead_of_raising(pulse: PulseTest) -> None:
    answers = iter([ActionResult(success=False, error="busy"), ActionResult(data={"ok": True})])

    @pulse.engine.action("charge")
    async def charge(_: WorkflowContext) -> ActionResult:
        return next(answers)

    await pulse.define("order.paid", action("charge", retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    assert run.context == {"charge": {"ok": True}}
    entries = await pulse.engine.get_run_timeline(run.id)
    (failure,) = [entry for entry in entries if entry.type == "step_failed"]
    assert failure.detail["error"] == "ActionFailedError: busy"


async def test_a_handler_may_ask_for_another_pause(pulse: PulseTest) -> None:
    """``RetryAfterError`` and ``retry_after`` replace the pause of the policy."""

    @pulse.engine.action("charge")
    async def charge(ctx: WorkflowContext) -> ActionResult:
        if ctx.step.attempt == 1:
            raise RetryAfterError("busy", retry_after=timedelta(milliseconds=130))
        return ActionResult(success=ctx.step.attempt == 3, retry_after=timedelta(milliseconds=120))

    policy = {"maxAttempts": 3, "backoffMs": 300_000}
    await pulse.define("order.paid", action("charge", retryPolicy=policy))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    entries = await pulse.engine.get_run_timeline(run.id)
    pauses = [entry.detail["retryInMs"] for entry in entries if entry.type == "step_failed"]
    assert pauses == [130, 120]


@pytest.mark.parametrize("pause", [timedelta(), timedelta(seconds=-1)])
async def test_asking_for_no_pause_at_all_tries_again_at_once(
    pulse: PulseTest, pause: timedelta
) -> None:
    @pulse.engine.action("charge")
    async def charge(ctx: WorkflowContext) -> None:
        if ctx.step.attempt == 1:
            raise RetryAfterError("now", retry_after=pause)

    policy = {"maxAttempts": 2, "backoffMs": 300_000}
    await pulse.define("order.paid", action("charge", retryPolicy=policy))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"


async def test_a_pause_without_end_is_cut_to_thirty_days(pulse: PulseTest) -> None:
    @pulse.engine.action("charge")
    async def charge(_: WorkflowContext) -> None:
        raise RetryAfterError("never", retry_after=timedelta.max)

    await pulse.define("order.paid", action("charge", retryPolicy=THREE))
    trigger = await pulse.emit("order.paid")

    step = await pulse.wait_for_step(trigger.run_ids[0], "0", "scheduled")

    assert step.next_attempt_at is not None
    assert step.next_attempt_at - step.created_at < timedelta(days=31)


@pytest.mark.parametrize("timeout_ms", [150, 2_500], ids=["local", "queued"])
async def test_an_attempt_that_takes_too_long_has_failed(
    pulse: PulseTest, timeout_ms: int
) -> None:
    gate = pulse.gate("charge")
    await pulse.define("order.paid", action("charge", timeoutMs=timeout_ms))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert run.error_message is not None
    assert run.error_message.startswith("charge: HandlerTimeoutError: the attempt took longer")
    assert len(gate.calls) == 1
    assert gate.calls[0].canceled


async def test_the_time_limit_holds_for_each_attempt_anew(pulse: PulseTest) -> None:
    canceled: list[int] = []

    @pulse.engine.action("charge")
    async def charge(ctx: WorkflowContext) -> None:
        if ctx.step.attempt == 3:
            return
        try:
            await asyncio.Event().wait()
        finally:
            canceled.append(ctx.step.attempt)

    await pulse.define("order.paid", action("charge", timeoutMs=100, retryPolicy=THREE))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert canceled == [1, 2]


async def test_a_condition_has_a_time_limit_too(pulse: PulseTest) -> None:
    @pulse.engine.condition("is_large")
    async def is_large(_: WorkflowContext) -> bool:
        await asyncio.Event().wait()
        return True

    step = {"type": "condition", "name": "is_large", "timeoutMs": 100}
    await pulse.define("order.paid", step)

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "HandlerTimeoutError" in (run.error_message or "")
