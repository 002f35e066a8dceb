"""A Temporal of the test's own, which may be killed."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from pulse_temporal.embedded import TemporalServer, embedded_temporal
from pulse_temporal.embedded.ports import free_ports
from tests.harness import PulseTest, make_pulse

SHORT = timedelta(seconds=2)


class OwnTemporal:
    """A Temporal of the test's own, which keeps its data and its address."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.port = free_ports([0])[0]
        self.server: TemporalServer
        self._stack = stack

    async def start(self) -> None:
        """Start it on the data that it left behind."""
        block = embedded_temporal(self.folder, ui=False, port=self.port)
        self.server = await self._stack.enter_async_context(block)

    async def kill(self) -> None:
        """Kill it at once."""
        os.kill(self.server.pid, signal.SIGKILL)
        await self._stack.aclose()


def impatient(database: str, address: str) -> PulseTest:
    """Make an engine that waits for Temporal two seconds at most."""
    return make_pulse(
        database,
        address,
        temporal_timeout=SHORT,
        heartbeat_timeout=SHORT,
        task_timeout=SHORT,
        shutdown_grace=SHORT,
    )
