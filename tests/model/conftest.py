"""A stage for cases, on servers and in a database as for every other test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import Client

from pulse_temporal.embedded import EmbeddedServices
from tests.harness import make_pulse
from tests.model.stage import Stage


@pytest.fixture
async def stage(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> AsyncGenerator[Stage]:
    """Yield a stage; afterwards the invariants of its database must hold."""
    pulse = make_pulse(
        database, servers.temporal_address, local_activity_limit=timedelta(seconds=1)
    )
    client = await Client.connect(servers.temporal_address)
    made = Stage(pulse, connection, client)
    await made.open()
    async with pulse.engine:
        yield made
