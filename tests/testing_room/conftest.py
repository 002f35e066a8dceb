"""Test environments in the Postgres of the session; afterwards their invariants must hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import PulseTestEnvironment
from tests.harness import checked_invariants


@pytest.fixture
async def env(servers: EmbeddedServices) -> AsyncGenerator[PulseTestEnvironment]:
    """Yield a fresh environment."""
    async with (
        PulseTestEnvironment.start(postgres=servers.dsn) as started,
        checked_invariants(started.dsn),
    ):
        yield started
