"""Runs: look at them, cancel, retry and replay them."""

from __future__ import annotations

import pytest

from pulse_temporal import NotFoundError, RunTransitionError
from pulse_temporal.testing import PulseTestEnvironment

HOUR = {"type": "delay", "name": "wait", "delayMs": 3_600_000}


async def emitted(env: PulseTestEnvironment, type_: str, *steps: object) -> str:
    """Store a definition and emit its signal; give the run's id."""
    await env.define({"name": "Tutorial", "triggerType": type_, "steps": list(steps)})
    signal = {"tenantId": "test-tenant", "source": "shop", "type": type_}
    return (await env.engine.emit(signal)).run_ids[0]


async def test_40_a_run_and_its_steps_can_be_read(env: PulseTestEnvironment) -> None:
    """Reading asks Postgres alone; an unknown id gives None."""
    env.script_action("ship", returns={"parcel": 4})
    run_id = await emitted(env, "t40.paid", {"type": "action", "name": "ship"})
    await env.finish(run_id)

    (step,) = await env.engine.get_run_steps(run_id)

    assert (step.step_name, step.status, step.result) == ("ship", "completed", {"parcel": 4})
    assert await env.engine.get_run("run_unknown") is None


async def test_41_runs_are_listed_page_by_page(env: PulseTestEnvironment) -> None:
    """Newest first; ``next_cursor`` leads to the next page, and ``iterate`` goes through all."""
    env.script_action("ship")
    run_id = await emitted(env, "t41.paid", {"type": "action", "name": "ship"})
    signal = {"tenantId": "test-tenant", "source": "shop", "type": "t41.paid"}
    newer = (await env.engine.emit(signal)).run_ids[0]
    run = (await env.finish(run_id)).run
    await env.finish(newer)
    runs, which = env.engine.runs, run.definition_id

    first = await runs.list(definition_id=which, limit=1)
    second = await runs.list(definition_id=which, limit=1, cursor=first.next_cursor)
    every = [each.id async for each in runs.iterate(definition_id=which)]

    assert [each.id for each in (*first, *second)] == every == [newer, run_id]


async def test_42_a_cancel_is_final(env: PulseTestEnvironment) -> None:
    """Steps that have not begun are skipped; a run that is over cannot be canceled."""
    env.script_action("ship")
    run_id = await emitted(env, "t42.paid", HOUR, {"type": "action", "name": "ship"})
    await env.settle()

    run = await env.engine.cancel_run(run_id, "the customer has called", by="ada")

    assert (run.status, run.cancel_reason) == ("canceled", "the customer has called")
    with pytest.raises(RunTransitionError):
        await env.engine.cancel_run(run_id)


async def test_43_a_failed_run_is_retried_where_it_failed(env: PulseTestEnvironment) -> None:
    """What completed is kept; the run has the same id and a higher generation."""
    charge = env.script_action("charge")
    ship = env.script_action("ship", fails=1)
    steps = [{"type": "action", "name": name} for name in ("charge", "ship")]
    run_id = await emitted(env, "t43.paid", *steps)
    failed = await env.finish(run_id)

    await env.engine.retry_run(run_id)
    result = await env.finish(run_id)

    assert (failed.status, result.status, result.run.generation) == ("failed", "completed", 2)
    assert (len(charge.calls), len(ship.calls)) == (1, 2)


async def test_44_a_stored_signal_is_replayed(env: PulseTestEnvironment) -> None:
    """The definitions that match now run; actions that are not ``replay_safe`` are skipped."""
    charge = env.script_action("charge", returns={"receipt": "r-1"})
    run_id = await emitted(env, "t44.paid", {"type": "action", "name": "charge"})
    original = await env.finish(run_id)

    (run,) = await env.engine.replay(original.run.trigger_id)
    replayed = await env.finish(run.id)

    assert (replayed.run.is_replay, replayed.statuses) == (True, {"charge": "skipped"})
    assert len(charge.calls) == 1


async def test_45_what_is_unknown_is_an_error(env: PulseTestEnvironment) -> None:
    """Only what is got by its id is None; everything else raises ``NotFoundError``."""
    assert await env.engine.runs.get("run_unknown") is None
    with pytest.raises(NotFoundError):
        await env.engine.runs.timeline("run_unknown")
    with pytest.raises(NotFoundError):
        await env.engine.cancel_run("run_unknown")
    with pytest.raises(NotFoundError):
        await env.engine.replay("trg_unknown")


async def test_46_health_tells_what_is_wrong(env: PulseTestEnvironment) -> None:
    """It looks at Postgres, Temporal, workers and what waits; ``pulse doctor`` prints it."""
    report = await env.engine.check_health(compare=False)

    found = {check.name: check.status for check in report.checks}
    assert (found["postgres"], found["temporal"]) == ("ok", "ok")
