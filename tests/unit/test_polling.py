"""A worker is left in good order, also by a program that forgets to stop it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import pytest
from temporalio.worker import Worker

from pulse_temporal.activities.handover import Handover
from pulse_temporal.worker.gate import TaskGate
from pulse_temporal.worker.polling import Polling


class StubbornWorker:
    """Ends when it is canceled for the second time.

    The SDK's worker answers the first one by waiting for its part in Rust.
    """

    def __init__(self) -> None:
        self.runs = asyncio.Event()
        self.cancels = 0

    async def run(self) -> None:
        """Wait for nothing."""
        self.runs.set()
        while self.cancels < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancels += 1
        raise asyncio.CancelledError


async def test_a_worker_is_canceled_until_it_ends_however_often_its_owner_is() -> None:
    """asyncio.run cancels each task, and a group the tasks in it once more."""
    worker = StubbornWorker()
    polling = Polling(
        lambda: cast("Worker", worker),
        TaskGate(),
        Handover(),
        grace=timedelta(seconds=1),
        left_patience=timedelta(seconds=0.01),
    )
    polls = asyncio.ensure_future(polling.run())
    await worker.runs.wait()

    polls.cancel()
    await asyncio.sleep(0)
    polls.cancel()
    with pytest.raises(asyncio.CancelledError):
        await polls

    assert worker.cancels == 2
