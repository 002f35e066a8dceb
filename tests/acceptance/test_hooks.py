"""Hooks learn what has ended, once, and cannot hurt a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from pulse_temporal import RunCompleteEvent, StepCompleteEvent
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import PulseTest, action, condition, delay, eventually, make_pulse, parallel

HOUR_MS = 3_600_000
TWO = {"maxAttempts": 2, "backoffMs": 100}


@dataclass
class Ears:
    """Hooks that keep what they are told."""

    steps: list[StepCompleteEvent] = field(default_factory=list[StepCompleteEvent])
    runs: list[RunCompleteEvent] = field(default_factory=list[RunCompleteEvent])

    def on_step(self, event: StepCompleteEvent) -> None:
        """Keep the end of a step."""
        self.steps.append(event)

    async def on_run(self, event: RunCompleteEvent) -> None:
        """Keep the end of a run."""
        self.runs.append(event)

    async def heard_run(self, count: int = 1) -> None:
        """Wait until so many runs have ended; steps are told before their run."""

        async def enough() -> bool:
            return len(self.runs) >= count

        await eventually(enough)

    def lines(self) -> list[str]:
        """Give the ends of steps as short lines."""
        return [f"{event.step.step_name} {event.step.status}" for event in self.steps]


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
async def heard(servers: EmbeddedServices, database: str, ears: Ears) -> AsyncGenerator[PulseTest]:
    """Give an engine whose hooks are ``ears``."""
    address = servers.temporal_address
    pulse = make_pulse(database, address, on_step=ears.on_step, on_run=ears.on_run)
    async with pulse.engine:
        yield pulse


async def test_every_step_and_the_run_are_told_once(heard: PulseTest, ears: Ears) -> None:
    heard.action("charge", returns={"amount": 12})
    heard.action("receipt")
    await heard.define("order.paid", "charge", "receipt")

    run = await heard.emit_and_wait("order.paid")

    await ears.heard_run()
    assert ears.lines() == ["charge completed", "receipt completed"]
    assert ears.steps[0].step.result == {"amount": 12}
    assert ears.steps[0].run.id == run.id
    assert [(event.run.id, event.status) for event in ears.runs] == [(run.id, "completed")]


async def test_all_kinds_of_steps_are_told(heard: PulseTest, ears: Ears) -> None:
    heard.condition("check", returns=False)
    heard.action("never")
    heard.action("email")
    heard.action("text")
    await heard.define(
        "order.paid",
        condition("check", onFalse="skip"),
        "never",
        delay("pause", 10),
        parallel("tell", ["email"], ["text"]),
    )

    await heard.emit_and_wait("order.paid")

    await ears.heard_run()
    assert sorted(ears.lines()) == [
        "check completed",
        "email completed",
        "never skipped",
        "pause completed",
        "tell completed",
        "text completed",
    ]


async def test_a_step_is_told_when_its_attempts_are_used_up(heard: PulseTest, ears: Ears) -> None:
    heard.action("charge", fails=2)
    await heard.define("order.paid", action("charge", retryPolicy=TWO))

    await heard.emit_and_wait("order.paid")

    await ears.heard_run()
    assert ears.lines() == ["charge failed"]
    assert [event.status for event in ears.runs] == ["failed"]


async def test_a_cancel_is_told(heard: PulseTest, ears: Ears) -> None:
    await heard.define("order.paid", delay("pause", HOUR_MS))
    trigger = await heard.emit("order.paid")
    await heard.wait_for_status(trigger.run_ids[0], "waiting")

    await heard.engine.cancel_run(trigger.run_ids[0])

    await ears.heard_run()
    assert ears.lines() == ["pause skipped"]
    assert [event.status for event in ears.runs] == ["canceled"]


async def test_a_retried_run_ends_again(heard: PulseTest, ears: Ears) -> None:
    heard.action("charge", fails=1)
    await heard.define("order.paid", "charge")
    run = await heard.emit_and_wait("order.paid")
    await ears.heard_run()

    await heard.engine.retry_run(run.id)

    await ears.heard_run(2)
    assert [event.status for event in ears.runs] == ["failed", "completed"]
    assert ears.lines() == ["charge failed", "charge completed"]


async def test_hooks_that_raise_or_end_the_process_hurt_nothing(
    servers: EmbeddedServices, database: str
) -> None:
    asked: list[str] = []

    def on_step(event: StepCompleteEvent) -> None:
        asked.append(event.step.step_name)
        raise SystemExit(3)

    def on_run(event: RunCompleteEvent) -> None:
        asked.append(event.run.id)
        raise RuntimeError("the hook fails")

    pulse = make_pulse(database, servers.temporal_address, on_step=on_step, on_run=on_run)
    async with pulse.engine:
        pulse.action("charge")
        await pulse.define("order.paid", "charge")
        first = await pulse.emit_and_wait("order.paid")
        second = await pulse.emit_and_wait("order.paid")

    assert (first.status, second.status) == ("completed", "completed")
    assert asked == ["charge", first.id, "charge", second.id]


async def test_a_hook_that_hangs_holds_up_no_run(servers: EmbeddedServices, database: str) -> None:
    entered = asyncio.Event()
    leave = asyncio.Event()

    async def on_run(_event: RunCompleteEvent) -> None:
        entered.set()
        await leave.wait()

    pulse = make_pulse(database, servers.temporal_address, on_run=on_run)
    async with pulse.engine:
        pulse.action("charge")
        await pulse.define("order.paid", "charge")
        first = await pulse.emit_and_wait("order.paid")
        async with asyncio.timeout(10):
            await entered.wait()
        second = await pulse.emit_and_wait("order.paid")
        leave.set()

    assert (first.status, second.status) == ("completed", "completed")
