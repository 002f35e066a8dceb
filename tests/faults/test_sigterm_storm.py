"""Workers are told to stop one after the other, as a deployment does, while runs go on."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal.testing import action, delay
from tests.harness import PulseTest, eventually
from tests.processes import Program, Programs

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
STOPS = 5
PATIENCE = timedelta(seconds=60)


class Fleet:
    """Processes of ``workers/main.py``, on the queue of one engine."""

    def __init__(self, pulse: PulseTest, folder: Path, programs: Programs) -> None:
        self.pulse = pulse
        self.folder = folder
        self._programs = programs

    async def start(self, *, grace: str = "PT10S") -> Program:
        """Start a worker and wait until it works."""
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
        worker = self._programs.start(
            "-m", "workers.main", cwd=ROOT, environment={**os.environ, **settings}
        )
        await worker.says(" works on task queue")
        return worker


@pytest.fixture
def fleet(idle_pulse: PulseTest, tmp_path: Path, programs: Programs) -> Fleet:
    """Return a fleet without workers; whoever is left afterwards is ended."""
    return Fleet(idle_pulse, tmp_path, programs)


async def test_a_storm_of_stops(fleet: Fleet, connection: asyncpg.Connection) -> None:
    """Nothing is lost or paid twice, no attempt is used up, and every worker ends well."""
    pulse = fleet.pulse
    await connection.execute("CREATE TABLE payments (run_id text)")
    working = [await fleet.start(), await fleet.start()]
    stopped: list[Program] = []
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
        leaving.terminate()
        stopped.append(leaving)
        working.append(await fleet.start())
    runs = [await pulse.engine.wait_for_run(run_id, 60) for run_id in run_ids]
    codes = [await worker.ended() for worker in stopped]
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
    worker.terminate()
    await worker.says("Stopping")
    assert worker.is_alive
    worker.terminate()
    code = await worker.ended()
    held.unlink()
    other = await fleet.start(grace="PT0S")
    await eventually(is_held, within=PATIENCE)
    canceled = await fleet.pulse.engine.cancel_run(run_id)
    other.terminate()

    assert code == 1
    assert canceled.status == "canceled"
    assert await other.ended() == 0
