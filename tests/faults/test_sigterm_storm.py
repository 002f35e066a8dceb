"""Workers are told to stop one after the other, as a deployment does, while runs go on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal.testing import action, delay
from tests.harness import PulseTest, eventually

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
STOPS = 5
END_SECONDS = 60.0
PATIENCE = timedelta(seconds=60)


class Fleet:
    """Processes of ``workers/main.py``, on the queue of one engine."""

    def __init__(self, pulse: PulseTest, folder: Path, stack: ExitStack) -> None:
        self.pulse = pulse
        self.folder = folder
        self._stack = stack
        self._numbers = count(1)

    async def start(self, *, grace: str = "PT10S") -> subprocess.Popen[bytes]:
        """Start a worker and wait until it works."""
        log = self.folder / f"worker-{next(self._numbers)}.log"
        settings = {
            "DATABASE_URL": self.pulse.dsn,
            "TEMPORAL_ADDRESS": self.pulse.temporal_address,
            "PULSE_QUEUE_PREFIX": self.pulse.engine.options.queue_prefix,
            "PULSE_SHUTDOWN_GRACE": grace,
            "PULSE_HEARTBEAT_TIMEOUT": "PT2S",
            "PULSE_TASK_TIMEOUT": "PT2S",
            "PULSE_APP": "tests.faults.main_app:register",
            "STORM_FOLDER": str(self.folder),
        }
        with log.open("wb") as output:
            worker = subprocess.Popen(  # noqa: ASYNC220 - our own program, and it starts at once
                [sys.executable, "-m", "workers.main"],
                cwd=ROOT,
                env=dict(os.environ) | settings,
                stdout=output,
                stderr=output,
            )
        self._stack.callback(worker.wait)
        self._stack.callback(worker.kill)

        async def works() -> bool:
            assert worker.poll() is None, log.read_text(encoding="utf-8")
            return " works on task queue" in log.read_text(encoding="utf-8")

        await eventually(works, within=PATIENCE)
        return worker


@pytest.fixture
def fleet(idle_pulse: PulseTest, tmp_path: Path) -> Generator[Fleet]:
    """Give a fleet without workers; whoever is left afterwards is ended."""
    with ExitStack() as stack:
        yield Fleet(idle_pulse, tmp_path, stack)


async def exit_code(worker: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a worker."""
    return await asyncio.to_thread(worker.wait, END_SECONDS)


async def test_a_storm_of_stops(fleet: Fleet, connection: asyncpg.Connection) -> None:
    """Nothing is lost or paid twice, no attempt is used up, and every worker ends well."""
    pulse = fleet.pulse
    await connection.execute("CREATE TABLE payments (run_id text)")
    working = [await fleet.start(), await fleet.start()]
    stopped: list[subprocess.Popen[bytes]] = []
    await pulse.define(
        "order.paid",
        action("first", uses="work"),
        delay("pause", 300),
        "pay",
        action("short", uses="work", timeoutMs=1_500),
        action("last", uses="work"),
    )
    run_ids: list[str] = []
    for _ in range(STOPS):
        run_ids += [(await pulse.emit("order.paid")).run_ids[0] for _ in range(8)]
        await pulse.wait_for_step(run_ids[-1], "0", "running")
        leaving = working.pop(0)
        leaving.send_signal(signal.SIGTERM)
        stopped.append(leaving)
        working.append(await fleet.start())
    runs = [await pulse.engine.wait_for_run(run_id, 60) for run_id in run_ids]
    codes = [await exit_code(worker) for worker in stopped]
    payments = await connection.fetch("SELECT run_id FROM payments")
    attempts = await connection.fetchval("SELECT max(attempt) FROM pulse_workflow_step_runs")

    assert {run.status for run in runs} == {"completed"}, [run.error_message for run in runs]
    assert sorted(row["run_id"] for row in payments) == sorted(run_ids)
    assert attempts == 1
    assert codes == [0] * STOPS


async def test_a_second_sigterm_ends_a_worker_at_once(fleet: Fleet) -> None:
    """The first one waits for the handler, an hour if need be; the run goes on elsewhere."""
    worker = await fleet.start(grace="PT1H")
    await fleet.pulse.define("order.held", "hold")
    (run_id,) = (await fleet.pulse.emit("order.held")).run_ids
    held = fleet.folder / "held"

    async def is_held() -> bool:
        return held.exists()

    await eventually(is_held, within=PATIENCE)
    worker.send_signal(signal.SIGTERM)
    log = fleet.folder / "worker-1.log"

    async def has_heard() -> bool:
        return "Stopping" in log.read_text(encoding="utf-8")

    await eventually(has_heard, within=PATIENCE)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    code = await exit_code(worker)
    held.unlink()
    other = await fleet.start(grace="PT0S")
    await eventually(is_held, within=PATIENCE)
    canceled = await fleet.pulse.engine.cancel_run(run_id)
    other.send_signal(signal.SIGTERM)

    assert code == 1
    assert canceled.status == "canceled"
    assert await exit_code(other) == 0
