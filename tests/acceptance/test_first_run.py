"""Read as a tutorial: signals start workflows, and everything that happens is visible."""

from __future__ import annotations

from tests.harness import PulseTest


async def test_a_signal_runs_the_steps_in_order(pulse: PulseTest) -> None:
    """Each step ends before the next begins; results land in the run's context."""
    pulse.action("charge", returns={"amount": 12})
    receipt = pulse.action("receipt")
    await pulse.define("order.paid", "charge", "receipt")

    run = await pulse.emit_and_wait("order.paid", {"order": "o-1"})

    assert run.status == "completed"
    assert run.context == {"charge": {"amount": 12}}
    (ctx,) = receipt.calls
    assert ctx.run.context == {"charge": {"amount": 12}}
    assert ctx.trigger.payload == {"order": "o-1"}
    assert await pulse.timeline(run.id) == [
        "run_created",
        "step_started charge",
        "step_completed charge",
        "step_started receipt",
        "step_completed receipt",
        "run_completed",
    ]
