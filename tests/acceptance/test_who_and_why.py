"""The timeline says who did something, what a condition answered, and why a step waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import (
    Actor,
    InvalidInputError,
    NotFoundError,
    PulseTimeoutError,
    RunTimelineEntry,
    acting,
)
from pulse_temporal.testing import action, condition, delay
from tests.harness import PulseTest, eventually


async def entries(pulse: PulseTest, run_id: str, kind: str) -> list[RunTimelineEntry]:
    """Return the entries of one kind."""
    return [each for each in await pulse.engine.get_run_timeline(run_id) if each.type == kind]


async def test_a_conditions_answer_and_what_ended_the_run_early_are_told(
    pulse: PulseTest,
) -> None:
    pulse.condition("is_large", returns=False)
    pulse.condition("is_new", returns=True)
    pulse.action("check")
    pulse.action("review")
    await pulse.define("t", condition("is_new"), "check", condition("is_large"), "review")

    run = await pulse.emit_and_wait("t")

    answers = {
        entry.step_name: entry.detail.get("answer")
        for entry in await entries(pulse, run.id, "step_completed")
    }
    assert answers == {"is_new": True, "check": None, "is_large": False}
    (ended,) = await entries(pulse, run.id, "run_completed")
    assert ended.detail == {"endedBy": "2"}


async def test_a_run_that_goes_to_its_last_step_was_not_ended_early(pulse: PulseTest) -> None:
    pulse.condition("no", returns=False)
    pulse.action("last")
    await pulse.define("t", condition("no", on_false="skip"), action("a", uses="last"), "last")

    run = await pulse.emit_and_wait("t")

    (ended,) = await entries(pulse, run.id, "run_completed")
    assert ended.detail == {}


async def test_who_canceled_and_who_retried_is_told(pulse: PulseTest) -> None:
    pulse.action("ship", fails=1)
    await pulse.define("t", "ship", delay("rest", 3_600_000))
    trigger = await pulse.emit("t")
    (run_id,) = trigger.run_ids
    await pulse.engine.wait_for_run(run_id)

    await pulse.engine.retry_run(run_id, by="ann@acme.example")
    (retried,) = [
        entry
        for entry in await entries(pulse, run_id, "step_scheduled")
        if entry.detail.get("reason") == "retry"
    ]
    assert retried.detail["by"] == "ann@acme.example"

    await pulse.engine.cancel_run(run_id, "Mistake", by="bob\0")
    (canceled,) = await entries(pulse, run_id, "run_canceled")
    assert canceled.detail == {"reason": "Mistake", "by": "bob\ufffd"}


async def test_who_acts_is_who_canceled_and_retried(pulse: PulseTest) -> None:
    """A name that is given with the call wins."""
    pulse.action("ship", fails=1)
    await pulse.define("t", "ship", delay("rest", 3_600_000))
    (run_id,) = (await pulse.emit("t")).run_ids
    await pulse.engine.wait_for_run(run_id)

    with acting(Actor(id="user:ada", name="Ada")):
        await pulse.engine.retry_run(run_id)
        await pulse.engine.cancel_run(run_id, by="Bob")

    scheduled = await entries(pulse, run_id, "step_scheduled")
    assert [entry.detail["by"] for entry in scheduled if "by" in entry.detail] == ["Ada"]
    (canceled,) = await entries(pulse, run_id, "run_canceled")
    assert canceled.detail == {"by": "Bob"}


async def test_a_step_that_nobody_knows_is_told_once(pulse: PulseTest) -> None:
    """The entry is there while the run waits, not only when it has failed."""
    pulse.action("known")
    definition = await pulse.define("t", "known")
    await pulse.engine.update_workflow(
        definition.id, {"steps": [{"type": "action", "name": "known"}]}
    )
    del pulse.engine.registry.actions["known"]
    (run_id,) = (await pulse.emit("t")).run_ids

    async def told() -> list[RunTimelineEntry]:
        return await entries(pulse, run_id, "log")

    (line,) = await eventually(told)
    assert line.detail["level"] == "warn"
    assert "No live worker knows the action 'known'" in str(line.detail["message"])
    with pytest.raises(PulseTimeoutError, match="step 0 'known' cannot start: No live worker"):
        await pulse.engine.wait_for_run(run_id, 0)
    await pulse.engine.cancel_run(run_id)


async def test_whoever_waits_in_vain_learns_where_the_run_stands(pulse: PulseTest) -> None:
    await pulse.define("t", delay("rest", 3_600_000))
    (run_id,) = (await pulse.emit("t")).run_ids

    async def waiting() -> bool:
        run = await pulse.engine.get_run(run_id)
        return run is not None and run.status == "waiting"

    await eventually(waiting)
    for timeout in (0, 0.01, timedelta(milliseconds=10), timedelta(seconds=-1)):
        with pytest.raises(TimeoutError, match="it is 'waiting': step 0 'rest' ends 20"):
            await pulse.engine.wait_for_run(run_id, timeout)
    await pulse.engine.cancel_run(run_id)
    assert (await pulse.engine.wait_for_run(run_id, None)).status == "canceled"


@pytest.mark.parametrize("run_id", ["abc", "", "a\0b", "\ud800", 7, None])
async def test_what_is_no_runs_id_is_not_waited_for(pulse: PulseTest, run_id: object) -> None:
    with pytest.raises((NotFoundError, InvalidInputError)):
        await pulse.engine.wait_for_run(run_id, 3_600)  # pyright: ignore[reportArgumentType] - what a mistake looks like


@pytest.mark.parametrize("bound", ["30", float("nan"), True, 10**400, object()])
async def test_what_is_no_length_of_time_is_refused(pulse: PulseTest, bound: object) -> None:
    with pytest.raises(InvalidInputError, match="timeout must be a timedelta"):
        await pulse.engine.wait_for_run("run_1", bound)  # pyright: ignore[reportArgumentType] - what a mistake looks like


async def test_a_run_that_is_not_stored_yet_is_waited_for_and_named(pulse: PulseTest) -> None:
    with pytest.raises(PulseTimeoutError, match="no run of this id is stored"):
        await pulse.engine.wait_for_run("run_018f0000-0000-7000-8000-000000000000", 0.05)
