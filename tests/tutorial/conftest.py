"""A test environment for each file: an engine, and a clock that jumps over delays."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import PulseTestEnvironment
from tests.harness import checked_invariants


@pytest.fixture(scope="module")
async def env(servers: EmbeddedServices) -> AsyncGenerator[PulseTestEnvironment]:
    """Yield the environment; each test uses signal types of its own."""
    async with (
        PulseTestEnvironment.start(postgres=servers.dsn) as started,
        checked_invariants(started.dsn),
    ):
        yield started
