"""The worker of ``pulse dev``: a process that is started again when it ends or code changes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from pulse_temporal.embedded.process import SAME_USER, watchdog_command

GRACE_SECONDS = 2
STOP_PLAN = f"{int(signal.SIGTERM)}:{GRACE_SECONDS + 3}"
PAUSE_SECONDS = 1.0
"""Before a worker that has ended by itself is started again."""


class DevWorker:
    """One worker process, under a watchdog that stops it when this process is gone.

    Args:
        app: ``module:function``.
        folder: Its working directory.
        environment: All of it.
        tell: Prints a line.
    """

    def __init__(
        self, app: str, folder: Path, environment: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self.app = app
        self.folder = folder
        self.environment = {**environment, "PULSE_SHUTDOWN_GRACE": f"{GRACE_SECONDS}s"}
        self.tell = tell
        self._process: Process | None = None
        self._is_stopped = False

    async def run(self) -> None:
        """Keep a worker up until ``stop``."""
        while not self._is_stopped:
            await self._once()
            if not self._is_stopped and self._process is not None:
                self.tell("worker   has ended; starting it again")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _once(self) -> None:
        command = [sys.executable, "-m", "pulse_temporal.cli", "worker", self.app, "--no-migrate"]
        process = await asyncio.create_subprocess_exec(
            *watchdog_command(SAME_USER, STOP_PLAN, command),
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=asyncio.subprocess.PIPE,  # when it ends, the watchdog stops the worker
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us
        )
        self._process = process
        try:
            if process.stdout is not None:
                pid = (await process.stdout.readline()).decode().strip()
                self.tell(f"worker   process {pid}")
            if process.stderr is not None:
                async for line in process.stderr:
                    self.tell(f"worker   {line.decode(errors='replace').rstrip()}")
            await process.wait()
        finally:
            await _end(process)

    async def restart(self) -> None:
        """Stop the worker; ``run`` starts the next one."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def stop(self) -> None:
        """Stop the worker for good."""
        self._is_stopped = True
        await self.restart()


async def _end(process: Process) -> None:
    """Stop the worker by its watchdog, and wait until both are gone."""
    if process.stdin is not None:
        process.stdin.close()
    with suppress(ProcessLookupError):
        await process.wait()
