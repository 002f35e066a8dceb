"""A step that no worker knows is a warning in each worker, once for each handler."""

from __future__ import annotations

import logging

import pytest

from tests.harness import TENANT, PulseTest, eventually


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages about steps that cannot start."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "pulse_temporal.activities.steps" and record.levelno == logging.WARNING
    ]


async def wait_until_blocked(pulse: PulseTest, run_id: str) -> None:
    async def is_blocked() -> bool:
        return bool((await pulse.steps(run_id))["0"].blocked_reason)

    await eventually(is_blocked)


@pytest.mark.parametrize("kind", ["action", "condition"])
async def test_a_handler_that_is_not_known_is_told_once(
    idle_pulse: PulseTest, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    pulse = idle_pulse
    await pulse.define("order.paid", {"type": kind, "name": "pay"})
    await pulse.define("order.sent", {"type": kind, "name": "send"})
    pulse.action("refund")
    async with pulse.engine:
        first = (await pulse.emit("order.paid")).run_ids[0]
        await wait_until_blocked(pulse, first)
        again = (await pulse.emit("order.paid")).run_ids[0]
        await wait_until_blocked(pulse, again)
        other = (await pulse.emit("order.sent")).run_ids[0]
        await wait_until_blocked(pulse, other)

    told = warnings(caplog)
    assert len(told) == 2
    for text, run_id, handler in zip(told, (first, other), ("pay", "send"), strict=True):
        assert f"does not know the {kind} '{handler}'" in text
        assert f"run {run_id}, tenant {TENANT}" in text
        assert "Register it here" in text
    assert ("Known here: refund." if kind == "action" else "Known here: none.") in told[0]
