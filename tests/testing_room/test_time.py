"""Days pass in milliseconds, and in the right order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pulse_temporal.testing import PulseTestEnvironment, action, assert_timeline, delay, parallel

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SLACK = timedelta(minutes=1)


def ms(length: timedelta) -> int:
    return round(length / timedelta(milliseconds=1))


async def hang(_ctx: object) -> None:
    await asyncio.Event().wait()


def definition(*steps: object) -> dict[str, object]:
    return {"name": "Under test", "triggerType": "trial.started", "steps": list(steps)}


async def test_a_delay_of_days_passes_at_once(env: PulseTestEnvironment) -> None:
    remind = env.script_action("remind")
    before = await env.now()

    result = await env.run(definition(delay("three days", ms(3 * DAY)), action("remind")))

    assert result.lines == [
        "run_created",
        "step_scheduled three days",
        "step_completed three days",
        "step_started remind",
        "step_completed remind",
        "run_completed",
    ]
    assert len(remind.calls) == 1
    step = result.step("three days")
    assert step.started_at is not None
    assert step.scheduled_for is not None
    assert step.completed_at is not None
    assert before <= step.started_at
    assert step.scheduled_for - step.started_at >= 3 * DAY
    assert step.scheduled_for <= step.completed_at < step.scheduled_for + SLACK


async def test_time_does_not_run_away_when_nothing_is_left_to_do(
    env: PulseTestEnvironment,
) -> None:
    before = await env.now()

    await env.run(definition(delay("three days", ms(3 * DAY))))
    await env.settle()

    assert 3 * DAY <= await env.now() - before < 3 * DAY + SLACK


async def test_pauses_between_attempts_pass_at_once(env: PulseTestEnvironment) -> None:
    charge = env.script_action("charge", fails=2)
    retry = {"maxAttempts": 3, "backoffMs": 300_000}
    before = await env.now()

    result = await env.run(definition(action("charge", retryPolicy=retry)))

    assert result.status == "completed"
    assert [ctx.step.attempt for ctx in charge.calls] == [1, 2, 3]
    assert result.lines.count("step_failed charge") == 2
    assert timedelta(minutes=15) <= await env.now() - before < timedelta(minutes=16)


async def test_an_attempt_of_a_local_delivery_waits_out_its_pause_too(
    env: PulseTestEnvironment,
) -> None:
    charge = env.script_action("charge", fails=1)
    retry = {"maxAttempts": 2, "backoffMs": 300_000}

    result = await env.run(definition(action("charge", retryPolicy=retry, timeoutMs=1_000)))

    assert result.status == "completed"
    assert len(charge.calls) == 2


async def test_branches_keep_their_order_in_time(env: PulseTestEnvironment) -> None:
    called: list[str] = []
    for name in ("first", "second", "third"):
        env.engine.register_action(name, lambda ctx: called.append(ctx.step.step_name))

    result = await env.run(
        definition(
            parallel(
                "side by side",
                [delay("two days", ms(2 * DAY)), "third"],
                [delay("an hour", ms(HOUR)), "first", delay("a day", ms(DAY)), "second"],
            )
        )
    )

    assert result.status == "completed"
    assert called == ["first", "second", "third"]
    assert_timeline(
        result.timeline,
        ["step_scheduled two days", ..., "step_started third", "step_completed third"],
        within="0/b0",
    )


async def test_the_middle_of_a_run_can_be_looked_at(env: PulseTestEnvironment) -> None:
    remind = env.script_action("remind")
    await env.define(definition(delay("three days", ms(3 * DAY)), action("remind")))
    trigger = await env.engine.emit(
        {"tenantId": "test-tenant", "source": "test", "type": "trial.started"}
    )
    (run_id,) = trigger.run_ids

    await env.settle()
    assert (await env.result(run_id)).status == "waiting"
    await env.advance(2 * DAY)
    assert (await env.result(run_id)).status == "waiting"
    assert remind.calls == []
    await env.advance(DAY)

    assert (await env.result(run_id)).status == "completed"
    assert len(remind.calls) == 1


async def test_finishing_one_run_does_not_hurry_another(env: PulseTestEnvironment) -> None:
    slow = await env.define(
        {"name": "Slow", "triggerType": "slow", "steps": [delay("a month", ms(30 * DAY))]}
    )
    trigger = await env.engine.emit({"tenantId": slow.tenant_id, "source": "test", "type": "slow"})

    quick = await env.run(definition(delay("an hour", ms(HOUR))))

    assert quick.status == "completed"
    assert (await env.result(trigger.run_ids[0])).status == "waiting"
    assert (await env.finish(trigger.run_ids[0])).status == "completed"


async def test_a_canceled_run_stays_canceled_however_much_time_passes(
    env: PulseTestEnvironment,
) -> None:
    remind = env.script_action("remind")
    defined = await env.define(definition(delay("three days", ms(3 * DAY)), action("remind")))
    trigger = await env.engine.emit(
        {"tenantId": defined.tenant_id, "source": "test", "type": "trial.started"}
    )
    await env.settle()

    await env.engine.cancel_run(trigger.run_ids[0])
    await env.advance(10 * DAY)

    assert (await env.result(trigger.run_ids[0])).status == "canceled"
    assert remind.calls == []


async def test_a_retry_of_a_failed_run_does_not_wait_again(env: PulseTestEnvironment) -> None:
    env.script_action("remind", fails=1)
    result = await env.run(definition(delay("three days", ms(3 * DAY)), action("remind")))
    before = await env.now()
    assert result.status == "failed"

    await env.engine.retry_run(result.id)
    again = await env.finish(result.id)

    assert again.status == "completed"
    assert await env.now() - before < HOUR


async def test_what_is_not_done_in_time_is_named(env: PulseTestEnvironment) -> None:
    env.engine.register_action("hang", hang)
    env.patience = timedelta(milliseconds=300)

    with pytest.raises(TimeoutError, match=r"'Under test' .* is running: hang is running"):
        await env.run(definition(action("hang")))
