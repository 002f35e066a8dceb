"""The config of a handler's steps fits its model: when it is stored, and before each call."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, field_validator

from pulse_temporal import ConfigurationError, DefinitionError, WorkflowContext
from pulse_temporal.testing import condition
from tests.harness import PulseTest

calls: list[object] = []


class Alert(BaseModel):
    """Where an alert goes."""

    channel: str = Field(pattern="^#")
    limits: dict[str, int] = {}


class Broken(BaseModel):
    """A model whose own code fails."""

    channel: str = ""

    @field_validator("channel")
    @classmethod
    def fail(cls, _: str) -> str:
        """Fail as foreign code may."""
        raise RuntimeError


async def send_alert(ctx: WorkflowContext) -> None:
    """Remember the config."""
    calls.append(ctx.config)


async def is_large(_: WorkflowContext) -> bool:
    """Say yes."""
    return True


@pytest.fixture(autouse=True)
def handlers(idle_pulse: PulseTest) -> None:
    """Register a handler of each kind with a model."""
    calls.clear()
    idle_pulse.engine.register_action("send_alert", send_alert, config_schema=Alert)
    idle_pulse.engine.condition("is_large", config_schema=Alert)(is_large)


async def test_what_does_not_fit_is_told_with_its_place_and_beside_all_else(
    idle_pulse: PulseTest,
) -> None:
    with pytest.raises(DefinitionError) as caught:
        await idle_pulse.define(
            "t",
            {"type": "delay", "name": "wait", "delayMs": -1},
            {"type": "action", "name": "a", "uses": "send_alert", "config": {"channel": "SECRET"}},
            {**condition("is_large"), "config": {"limits": {"x": "SECRET"}}},
            config={"channel": "SECRET"},
        )

    pointers = {problem.pointer for problem in caught.value.problems}
    assert pointers == {
        "/steps/0/delayMs",
        "/steps/1/config/channel",
        "/steps/2/config/limits/x",
        "/config/channel",
    }
    assert "SECRET" not in str(caught.value)


async def test_what_is_missing_is_missed_at_the_step(idle_pulse: PulseTest) -> None:
    report = await idle_pulse.engine.validate_workflow(
        {
            "tenantId": "acme",
            "name": "n",
            "triggerType": "t",
            "steps": [{"type": "action", "name": "send_alert"}],
        }
    )

    (problem,) = report.problems
    assert (problem.pointer, problem.message) == ("/steps/0/config/channel", "Field required")


async def test_a_change_of_the_config_alone_is_checked_and_others_are_not(
    idle_pulse: PulseTest,
) -> None:
    engine = idle_pulse.engine
    made = await idle_pulse.define("t", "send_alert", config={"channel": "#ops"})

    with pytest.raises(DefinitionError) as caught:
        await engine.update_workflow(made.id, {"config": {"channel": "ops"}})
    await engine.update_workflow(made.id, {"name": "Other"})

    assert [problem.pointer for problem in caught.value.problems] == ["/config/channel"]


async def test_a_config_that_was_stored_elsewhere_fails_the_step_at_once(pulse: PulseTest) -> None:
    """Another process has stored it, one that does not know the model."""
    registry = pulse.engine.registry
    known = registry.actions.pop("send_alert")
    pulse.engine.register_action("send_alert", send_alert)
    step: dict[str, object] = {
        "type": "action",
        "name": "send_alert",
        "retryPolicy": {"maxAttempts": 3, "backoffMs": 100},
    }
    await pulse.define("t", step, config={"channel": "SECRET"})
    registry.actions["send_alert"] = known

    run = await pulse.emit_and_wait("t")

    (step_run,) = (await pulse.steps(run.id)).values()
    assert (run.status, step_run.attempt, calls) == ("failed", 1, [])
    message = step_run.error_message or ""
    assert "The config does not fit 'send_alert': /channel: String should match" in message
    assert "SECRET" not in message


async def test_a_config_that_fits_reaches_the_handler_as_it_was_stored(pulse: PulseTest) -> None:
    await pulse.define("t", "send_alert", config={"channel": "#ops", "more": 1})

    run = await pulse.emit_and_wait("t")

    assert run.status == "completed"
    assert calls == [{"channel": "#ops", "more": 1}]


async def test_a_model_that_fails_is_told(idle_pulse: PulseTest) -> None:
    idle_pulse.engine.action("broken", config_schema=Broken)(send_alert)

    with pytest.raises(DefinitionError, match="could not be checked: Broken raised RuntimeError"):
        await idle_pulse.define("t", "broken", config={"channel": "x"})


def test_only_a_model_is_taken(idle_pulse: PulseTest) -> None:
    with pytest.raises(ConfigurationError, match="config_schema of action 'x' must be a pydantic"):
        idle_pulse.engine.register_action("x", send_alert, config_schema=dict)  # pyright: ignore[reportArgumentType] - what a mistake looks like
