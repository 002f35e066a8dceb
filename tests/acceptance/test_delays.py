"""A delay waits durably: never too short, and visible while it lasts."""

from __future__ import annotations

from datetime import timedelta

from pulse_temporal.testing import delay, parallel
from tests.harness import PulseTest

HOUR_MS = 3_600_000


async def test_the_step_after_a_delay_starts_when_the_delay_is_over(pulse: PulseTest) -> None:
    before = pulse.action("before")
    after = pulse.action("after")
    await pulse.define("order.paid", "before", delay("cool down", 300), "after")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert (before.call_count, after.call_count) == (1, 1)
    assert await pulse.timeline(run.id) == [
        "run_created",
        "step_started before",
        "step_completed before",
        "step_scheduled cool down",
        "step_completed cool down",
        "step_started after",
        "step_completed after",
        "run_completed",
    ]


async def test_a_delay_never_ends_early(pulse: PulseTest) -> None:
    await pulse.define("order.paid", delay("cool down", 250))

    run = await pulse.emit_and_wait("order.paid")

    step = (await pulse.steps(run.id))["0"]
    assert step.scheduled_for is not None
    assert step.started_at is not None
    assert step.completed_at is not None
    assert step.scheduled_for - step.started_at >= timedelta(milliseconds=250)
    assert step.completed_at >= step.scheduled_for


async def test_a_run_waits_while_its_delay_lasts(pulse: PulseTest) -> None:
    after = pulse.action("after")
    await pulse.define("order.paid", delay("cool down", HOUR_MS), "after")
    trigger = await pulse.emit("order.paid")

    run = await pulse.wait_for_status(trigger.run_ids[0], "waiting")

    step = (await pulse.steps(run.id))["0"]
    assert step.status == "scheduled"
    assert step.scheduled_for is not None
    assert step.scheduled_for - run.created_at >= timedelta(hours=1)
    assert after.call_count == 0
    assert await pulse.timeline(run.id) == ["run_created", "step_scheduled cool down"]


async def test_a_run_does_not_wait_while_another_branch_works(pulse: PulseTest) -> None:
    """It waits from the moment when nothing but delays is left."""
    gate = pulse.gate("work")
    await pulse.define("order.paid", parallel("both", [delay("cool down", HOUR_MS)], ["work"]))
    trigger = await pulse.emit("order.paid")
    await gate.reached()

    busy = await pulse.wait_for_status(trigger.run_ids[0], "running")
    gate.open()
    idle = await pulse.wait_for_status(trigger.run_ids[0], "waiting")

    assert (busy.status, idle.status) == ("running", "waiting")


async def test_a_run_is_running_again_after_its_delay(pulse: PulseTest) -> None:
    gate = pulse.gate("after")
    await pulse.define("order.paid", delay("cool down", 100), "after")
    trigger = await pulse.emit("order.paid")

    await gate.reached()
    run = await pulse.engine.get_run(trigger.run_ids[0])
    gate.open()

    assert run is not None
    assert run.status == "running"
    assert (await pulse.engine.wait_for_run(run.id)).status == "completed"


async def test_what_was_done_before_a_wait_is_visible_in_lists(pulse: PulseTest) -> None:
    pulse.action("price", returns={"amount": 12})
    await pulse.define("order.paid", "price", delay("cool down", HOUR_MS))
    trigger = await pulse.emit("order.paid")
    await pulse.wait_for_status(trigger.run_ids[0], "waiting")

    (run,) = (await pulse.engine.list_runs()).items

    assert run.context == {"price": {"amount": 12}}
