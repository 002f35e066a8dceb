"""Hooks that lag behind lose events; the log says so once, and how many."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import StepCompleteEvent
from pulse_temporal.services.runs.observers import MOST_WAITING, Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store.database import Database


def lagging() -> Observers:
    """Return observers whose hooks are never called."""

    def on_step(event: StepCompleteEvent) -> None:
        raise AssertionError(event)

    database = Database("postgresql://nowhere", prefix="pulse_", timeout=timedelta(seconds=1))
    return Observers(database, RunWaiter(database), on_step=on_step, on_run=None)


async def test_dropped_events_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    observers = lagging()

    paths = [f"{number}" for number in range(MOST_WAITING + 3)]
    observers.steps_ended("run-1", tenant_id="acme", paths=paths)

    assert observers.dropped == 3
    (text,) = caplog.messages
    assert f"{MOST_WAITING} events wait" in text
    assert "run-1" in text


async def test_a_flood_drops_nobody_elses_events(caplog: pytest.LogCaptureFixture) -> None:
    observers = lagging()
    flood = [f"{number}" for number in range(MOST_WAITING)]
    observers.steps_ended("run-1", tenant_id="noisy", paths=flood)

    observers.steps_ended("run-2", tenant_id="quiet", paths=["0"])

    assert observers.dropped == 1
    (text,) = caplog.messages
    assert "tenant noisy" in text
