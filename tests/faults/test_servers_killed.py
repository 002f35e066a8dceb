"""kill -9 of Postgres or Temporal under running runs: they finish, nothing recorded repeats."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from pulse_temporal import WorkflowRun
from pulse_temporal.embedded import EmbeddedServices, embedded_postgres, embedded_temporal
from pulse_temporal.embedded.ports import free_ports
from tests.faults.crew import eventually
from tests.harness import (
    Probe,
    PulseTest,
    action,
    checked_invariants,
    delay,
    make_pulse,
    parallel,
)

pytestmark = pytest.mark.faults

RUNS = 8
RUN_SECONDS = 60.0


@pytest.fixture
def folder() -> Generator[Path]:
    """Give a short path: the sockets of a database need one."""
    made = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Gate(Probe):
    """An action that waits until it may go on."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.opened = asyncio.Event()

    async def __call__(self, ctx: object) -> object: ...


@dataclass
class Work:
    """Runs that are under way: some in an action, some in a delay, some in branches."""

    pulse: PulseTest
    before: Probe
    gate: asyncio.Event
    run_ids: list[str]
