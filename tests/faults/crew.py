"""Worker processes that share a queue, the orders they follow and what they did."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import asyncpg

from pulse_temporal.testing import StepLike, action
from tests.harness import PulseTest, eventually

PROGRAM = Path(__file__).with_name("worker_process.py")
PATIENCE_SECONDS = 30.0


def work(name: str, **fields: object) -> dict[str, object]:
    """Write an action step that the crew can do."""
    return action(name, uses="work", **fields)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a handler: for which step, in which process, as which attempt."""

    step: str
    pid: int
    attempt: int


class Worker:
    """A worker process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    async def says(self, wanted: str) -> None:
        """Wait until it prints a line; what else it prints is the SDK's."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := await asyncio.to_thread(self.process.stdout.readline):
                if line.strip() == wanted:
                    return
        raise AssertionError(f"the worker ended and never said {wanted!r}")

    async def ended(self) -> int:
        """Wait for its end and give its exit status, negative after a signal."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)

    async def kill(self) -> None:
        """Kill it at once, as a machine that loses its power does."""
        self.process.send_signal(signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it from running, without its knowledge."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.process.send_signal(signal.SIGCONT)


class Crew:
    """Worker processes for one engine's queue, and the folder that tells them what to do.

    Attributes:
        pulse: Defines, emits and asks; does no work itself.
        environment: Of the workers that are started from now on.
    """

    def __init__(self, pulse: PulseTest, folder: Path) -> None:
        self.pulse = pulse
        self.folder = folder
        self.environment = dict(os.environ)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Give the crew."""
        return self

    def __exit__(self, *_: object) -> None:
        """End whoever is left."""
        self._stack.close()

    async def start(self, **options: int) -> Worker:
        """Start a worker and wait until it works.

        Args:
            options: Of ``worker_process.py``, with underscores.
        """
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        process = self._stack.enter_context(
            subprocess.Popen(  # noqa: ASYNC220, S603 - our own program, and it starts at once
                [
                    sys.executable,
                    str(PROGRAM),
                    str(self.folder),
                    self.pulse.dsn,
                    self.pulse.temporal_address,
                    self.pulse.engine.options.queue_prefix,
                    *arguments,
                ],
                stdout=subprocess.PIPE,
                text=True,
                env=self.environment,
            )
        )
        self._stack.callback(process.kill)
        worker = Worker(process)
        await worker.says("ready")
        return worker

    def order(self, step: str, what: str) -> None:
        """Tell workers what to do when they are called for a step."""
        (self.folder / f"{step}.{what}").touch()

    def withdraw(self, step: str, what: str) -> None:
        """Take an order back."""
        (self.folder / f"{step}.{what}").unlink()

    def calls(self, step: str | None = None) -> list[Call]:
        """Give the calls so far, of all steps or of one, in order."""
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
        """Give how the attempts of a step ended, oldest first."""
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
