"""Hooks that lag behind lose events; the log says so once, and how many."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import StepCompleteEvent
from pulse_temporal.services.runs.observers import QUEUE_LIMIT, Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store.database import Database


async def test_dropped_events_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def on_step(event: StepCompleteEvent) -> None:
        raise AssertionError(event)

    database = Database("postgresql://nowhere", prefix="pulse_", timeout=timedelta(seconds=1))
    observers = Observers(database, RunWaiter(database), on_step=on_step, on_run=None)

    paths = [f"{number}" for number in range(QUEUE_LIMIT + 3)]
    observers.steps_ended("run-1", tenant_id="acme", paths=paths)

    assert observers.dropped == 3
    (text,) = caplog.messages
    assert f"{QUEUE_LIMIT} events wait" in text
    assert "run-1" in text
