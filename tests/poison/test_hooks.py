"""A hook that misbehaves is alone with it: runs go on, and so do the other calls of hooks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import pytest

from pulse_temporal import RunCompleteEvent, StepCompleteEvent
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import PulseTest, eventually, make_pulse
from tests.poison.conftest import check_health
from tests.poison.corpus import ERRORS

HOOK_ERRORS = [make for make, _ in ERRORS.values()]


@dataclass
class BadHook:
    """A hook that raises something else every time.

    Attributes:
        told: What it was called with.
    """

    errors: list[Callable[[], BaseException]]
    told: list[object] = field(default_factory=list[object])

    async def in_loop(self, event: RunCompleteEvent) -> None:
        self.told.append(event)
        make = self.errors[len(self.told) % len(self.errors)]
        raise make()

    def in_thread(self, event: StepCompleteEvent) -> None:
        self.told.append(event)
        make = self.errors[len(self.told) % len(self.errors)]
        raise make()


@pytest.fixture
async def hooked(
    servers: EmbeddedServices, database: str
) -> AsyncGenerator[tuple[PulseTest, BadHook, BadHook]]:
    """Yield an engine whose hooks raise all that can be raised, in turn."""
    on_run, on_step = BadHook(HOOK_ERRORS), BadHook(HOOK_ERRORS)
    pulse = make_pulse(
        database,
        servers.temporal_address,
        on_run=on_run.in_loop,
        on_step=on_step.in_thread,
    )
    await pulse.engine.start()
    yield pulse, on_run, on_step
    await pulse.engine.stop()


async def test_a_hook_may_raise_anything(hooked: tuple[PulseTest, BadHook, BadHook]) -> None:
    """It hurts no run, and the hooks of the next runs are called."""
    pulse, on_run, on_step = hooked
    pulse.action("act")
    await pulse.define("hooked", "act")

    for _ in HOOK_ERRORS:
        assert (await pulse.emit_and_wait("hooked")).status == "completed"

    async def all_told() -> bool:
        return len(on_run.told) == len(on_step.told) == len(HOOK_ERRORS)

    assert await eventually(all_told)
    await check_health(pulse)
