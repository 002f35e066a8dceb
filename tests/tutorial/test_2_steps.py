"""Steps of a definition: actions, conditions, delays and branches."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import DefinitionError, WorkflowContext
from pulse_temporal.testing import PulseTestEnvironment


def action(name: str, **fields: object) -> dict[str, object]:
    """Write an action step."""
    return {"type": "action", "name": name, **fields}


def workflow(*steps: object, **fields: object) -> dict[str, object]:
    """Write a definition; the signal is of no interest here."""
    return {"name": "Tutorial", "triggerType": "t2.started", "steps": list(steps), **fields}


async def test_11_steps_run_one_after_the_other(env: PulseTestEnvironment) -> None:
    """The timeline tells what happened, in order."""
    env.script_action("charge")
    env.script_action("ship")

    result = await env.run(workflow(action("charge"), action("ship")))

    assert result.lines == [
        "run_created",
        "step_started charge",
        "step_completed charge",
        "step_started ship",
        "step_completed ship",
        "run_completed",
    ]


async def test_12_a_result_joins_the_context(env: PulseTestEnvironment) -> None:
    """Later steps find what earlier actions returned under their names."""
    env.script_action("charge", returns={"receipt": "r-1"})
    ship = env.script_action("ship")

    await env.run(workflow(action("charge"), action("ship")))

    assert ship.calls[0].run.context == {"charge": {"receipt": "r-1"}}


async def test_13_config_is_of_the_definition_and_of_the_step(env: PulseTestEnvironment) -> None:
    """The step's own config is merged over the definition's."""
    alert = env.script_action("alert")

    await env.run(
        workflow(action("alert", config={"to": "ops"}), config={"to": "all", "severity": "high"})
    )

    assert alert.calls[0].config == {"to": "ops", "severity": "high"}


async def test_14_uses_names_the_handler(env: PulseTestEnvironment) -> None:
    """Two steps may use one handler; their names tell them apart."""
    env.script_action("send", returns={"sent": True})

    result = await env.run(workflow(action("mail", uses="send"), action("text", uses="send")))

    assert result.context == {"mail": {"sent": True}, "text": {"sent": True}}


async def test_15_a_false_condition_ends_the_run_early(env: PulseTestEnvironment) -> None:
    """The rest is skipped, and the run is completed, not failed."""
    env.script_condition("is_large", returns=False)
    env.script_action("review")

    result = await env.run(workflow({"type": "condition", "name": "is_large"}, action("review")))

    assert result.status == "completed"
    assert result.statuses == {"is_large": "completed", "review": "skipped"}


@pytest.mark.parametrize(
    ("on_false", "called"), [("skip", ["charge", "ship"]), (2, ["ship"])], ids=["one", "two"]
)
async def test_16_on_false_may_skip_some_steps_only(
    env: PulseTestEnvironment, on_false: object, called: list[str]
) -> None:
    """``skip`` passes over one step, a number over as many."""
    env.script_condition("is_large", returns=False)
    scripts = [env.script_action(name) for name in ("review", "charge", "ship")]

    await env.run(
        workflow(
            {"type": "condition", "name": "is_large", "onFalse": on_false},
            *(action(script.name) for script in scripts),
        )
    )

    assert [script.name for script in scripts if script.calls] == called


async def test_17_a_delay_waits_durably(env: PulseTestEnvironment) -> None:
    """The run is ``waiting`` meanwhile; in a test the clock is moved by hand."""
    env.script_action("remind")
    three_days = {"type": "delay", "name": "wait", "delayMs": 3 * 24 * 3_600_000}
    await env.define({**workflow(three_days, action("remind")), "triggerType": "t17.started"})
    trigger = await env.engine.emit(
        {"tenantId": "test-tenant", "source": "shop", "type": "t17.started"}
    )
    (run_id,) = trigger.run_ids

    await env.advance(timedelta(days=2))
    early = await env.result(run_id)
    await env.advance(timedelta(days=1))
    late = await env.result(run_id)

    assert (early.status, late.status) == ("waiting", "completed")


async def test_18_branches_run_side_by_side(env: PulseTestEnvironment) -> None:
    """The parallel step is completed when all of its branches are; their results are merged."""
    env.script_action("mail", returns={"id": 1})
    env.script_action("text", returns={"id": 2})
    notify = {
        "type": "parallel",
        "name": "notify",
        "branches": [[action("mail")], [action("text")]],
    }

    result = await env.run(workflow(notify))

    assert result.context == {"mail": {"id": 1}, "text": {"id": 2}}
    assert [step.path for step in result.steps] == ["0", "0/b0/0", "0/b1/0"]


async def test_19_a_failed_branch_fails_the_run_after_the_others(
    env: PulseTestEnvironment,
) -> None:
    """Nothing is cut off: the other branches finish first."""
    env.script_action("mail", raises=RuntimeError("no address"))
    text = env.script_action("text")
    notify = {
        "type": "parallel",
        "name": "notify",
        "branches": [[action("mail")], [action("text")]],
    }

    result = await env.run(workflow(notify))

    assert result.status == "failed"
    assert (result.step("text").status, len(text.calls)) == ("completed", 1)


async def test_20_a_wrong_definition_is_refused_with_every_problem(
    env: PulseTestEnvironment,
) -> None:
    """Each problem has a JSON pointer, and a hint where one can be guessed."""
    env.script_action("charge")

    with pytest.raises(DefinitionError) as refused:
        await env.define(
            workflow(action("chrge"), {"type": "delay", "name": "wait", "delayMs": 0})
        )

    assert [problem.pointer for problem in refused.value.problems] == [
        "/steps/0/name",
        "/steps/1/delayMs",
    ]
    assert refused.value.problems[0].hint == 'Did you mean "charge"?'


async def test_21_a_definition_is_disabled_and_enabled(env: PulseTestEnvironment) -> None:
    """A disabled definition matches nothing."""
    env.script_action("ship")
    definition = await env.define({**workflow(action("ship")), "triggerType": "t21.paid"})
    signal = {"tenantId": "test-tenant", "source": "shop", "type": "t21.paid"}

    await env.engine.disable_workflow(definition.id)
    while_disabled = await env.engine.emit(signal)
    await env.engine.enable_workflow(definition.id)
    while_enabled = await env.engine.emit(signal)
    await env.finish(while_enabled.run_ids[0])

    assert (len(while_disabled.run_ids), len(while_enabled.run_ids)) == (0, 1)


async def test_22_a_run_keeps_the_definition_that_it_started_with(
    env: PulseTestEnvironment,
) -> None:
    """The snapshot is frozen; a change counts for later runs only."""
    env.script_action("ship")
    definition = await env.define({**workflow(action("ship")), "triggerType": "t22.paid"})
    signal = {"tenantId": "test-tenant", "source": "shop", "type": "t22.paid"}
    trigger = await env.engine.emit(signal)

    await env.engine.update_workflow(definition.id, {"name": "Renamed"})
    old = await env.finish(trigger.run_ids[0])

    assert old.run.definition_snapshot.name == "Tutorial"


async def test_23_a_definition_is_put_at_every_start(env: PulseTestEnvironment) -> None:
    """``put_workflow`` creates or updates by a key; the same content changes nothing."""
    env.script_action("ship")
    definition = {**workflow(action("ship")), "tenantId": "acme", "triggerType": "t23.paid"}

    first = await env.engine.put_workflow(definition, key="ship")
    again = await env.engine.put_workflow(definition, key="ship")

    assert (first.outcome, again.outcome) == ("created", "unchanged")


async def test_24_a_cron_says_when_it_will_start(env: PulseTestEnvironment) -> None:
    """Five fields, in UTC unless a time zone is named."""
    env.script_action("clean_up")
    definition = await env.define(
        {**workflow(action("clean_up")), "triggerType": "t24", "cronExpression": "0 2 * * *"}
    )

    times = await env.engine.next_runs(definition.id, 2)
    await env.engine.delete_workflow(definition.id)

    assert [time.hour for time in times] == [2, 2]
    assert times[1] - times[0] == timedelta(days=1)


async def test_25_a_step_may_start_another_workflow(env: PulseTestEnvironment) -> None:
    """A handler emits with ``ctx.emit``; the signal names the run that caused it."""
    env.script_action("close")

    @env.engine.action("t25_recover")
    async def recover(ctx: WorkflowContext) -> dict[str, object]:
        trigger = await ctx.emit({"source": "shop", "type": "t25.recovered"})
        return {"started": list(trigger.run_ids)}

    await env.define({**workflow(action("close")), "triggerType": "t25.recovered"})
    result = await env.run(workflow(action("t25_recover")))

    started = result.context["t25_recover"]
    assert isinstance(started, dict)
    assert isinstance(started["started"], list)
    chained = await env.finish(str(started["started"][0]))
    trigger = await env.engine.get_trigger(chained.run.trigger_id)
    assert trigger is not None
    assert trigger.caused_by_run_id == result.id
