"""The builders of steps write what a definition takes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import WorkflowInput
from pulse_temporal.testing import action, condition, delay, parallel


def test_each_builder_writes_a_step_that_a_definition_takes() -> None:
    definition = WorkflowInput.model_validate(
        {
            "tenantId": "t",
            "name": "All kinds",
            "triggerType": "order.paid",
            "steps": [
                action("charge", uses="pay", config={"cents": 100}),
                condition("is_large", onFalse="skip"),
                delay("pause", 1_500),
                parallel("tell", ["mail", delay("rest", 1)], [action("sms")]),
            ],
        }
    )

    charge, is_large, pause, tell = definition.steps
    assert (charge.type, charge.name) == ("action", "charge")
    assert (is_large.type, is_large.name) == ("condition", "is_large")
    assert pause.model_dump()["delayMs"] == 1_500
    branches = tell.model_dump()["branches"]
    names = [[(step["type"], step["name"]) for step in branch] for branch in branches]
    assert names == [[("action", "mail"), ("delay", "rest")], [("action", "sms")]]


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [(timedelta(days=3), 259_200_000), (timedelta(seconds=1.5), 1500)],
)
def test_a_delay_takes_a_timedelta(duration: timedelta, milliseconds: int) -> None:
    assert delay("pause", duration) == delay("pause", milliseconds)
