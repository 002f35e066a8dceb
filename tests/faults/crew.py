"""Worker processes that share a queue, the orders they follow and what they did."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg

from pulse_temporal.testing import StepLike, action
from tests.harness import PulseTest, eventually
from tests.processes import Program, Programs

PROGRAM = Path(__file__).with_name("worker_process.py")


def work(name: str, **fields: object) -> dict[str, object]:
    """Write an action step that the crew can do."""
    return action(name, uses="work", **fields)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a handler: for which step, in which process, as which attempt."""

    step: str
    pid: int
    attempt: int


class Crew:
    """Worker processes for one engine's queue, and the folder that tells them what to do.

    Attributes:
        pulse: Defines, emits and asks; does no work itself.
        environment: Of the workers that are started from now on.
    """

    def __init__(self, pulse: PulseTest, folder: Path, programs: Programs) -> None:
        self.pulse = pulse
        self.folder = folder
        self.environment = dict(os.environ)
        self._programs = programs

    async def start(self, **options: int) -> Program:
        """Start a worker and wait until it works.

        Args:
            options: Of ``worker_process.py``, with underscores.
        """
        worker = self._programs.start(
            str(PROGRAM),
            str(self.folder),
            self.pulse.dsn,
            self.pulse.temporal_address,
            self.pulse.engine.options.queue_prefix,
            *(f"--{name.replace('_', '-')}={value}" for name, value in options.items()),
            environment=self.environment,
        )
        await worker.says("the worker is ready")
        return worker

    def order(self, step: str, what: str) -> None:
        """Tell workers what to do when they are called for a step."""
        (self.folder / f"{step}.{what}").touch()

    def withdraw(self, step: str, what: str) -> None:
        """Take an order back."""
        (self.folder / f"{step}.{what}").unlink()

    def calls(self, step: str | None = None) -> list[Call]:
        """Return the calls so far, of all steps or of one, in order."""
        file = self.folder / "calls"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        calls = [
            Call(name, int(pid), int(attempt))
            for name, pid, attempt in (line.split() for line in lines)
        ]
        return [call for call in calls if step in (None, call.step)]

    async def called(self, step: str, *, times: int = 1) -> None:
        """Wait until a step has been called so often."""

        async def claim() -> bool:
            return len(self.calls(step)) >= times

        # A frozen worker's open polls still take tasks, each until its heartbeat is missed.
        await eventually(claim, within=timedelta(minutes=1))

    async def run(self, *steps: StepLike) -> str:
        """Emit a signal whose one definition has these steps; give the run's id."""
        await self.pulse.define("fault.met", *steps)
        (run_id,) = (await self.pulse.emit("fault.met")).run_ids
        return run_id

    async def attempts(self, run_id: str, path: str) -> list[str]:
        """Return how the attempts of a step ended, oldest first."""
        connection = await asyncpg.connect(self.pulse.dsn)
        try:
            rows = await connection.fetch(
                """SELECT a.status FROM pulse_step_attempts AS a
                JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id
                WHERE s.run_id = $1 AND s.path = $2 ORDER BY a.claim""",
                run_id,
                path,
            )
        finally:
            await connection.close()
        return [row["status"] for row in rows]
