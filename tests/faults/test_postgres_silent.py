"""Postgres neither answers nor closes its connections: every wait still has an end."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator

import pytest

from pulse_temporal.embedded import EmbeddedServices, PostgresServer, embedded_postgres
from tests.harness import make_pulse
from tests.processes import children

pytestmark = pytest.mark.faults


@pytest.fixture
async def postgres() -> AsyncGenerator[PostgresServer]:
    """Run a Postgres that the test may freeze."""
    with tempfile.TemporaryDirectory(prefix="pulse-", ignore_cleanup_errors=True) as folder:
        async with embedded_postgres(folder, durable=False) as server:
            yield server


async def test_an_engine_stops_while_postgres_is_silent(
    servers: EmbeddedServices, postgres: PostgresServer
) -> None:
    """Stopping ends the background loops although none of their questions is answered."""
    pulse = make_pulse(postgres.dsn, servers.temporal_address)
    await pulse.engine.migrate()
    await pulse.engine.start()
    frozen = [*(pid for pid, _ in children(postgres.pid)), postgres.pid]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(60):
            await asyncio.sleep(0.5)  # the loops are in the middle of their questions
            await pulse.engine.stop()
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("pulse")]
    assert left == []
