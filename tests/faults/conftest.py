"""A crew of worker processes for each test that kills some of them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from temporalio.client import Client

from pulse_temporal.embedded import EmbeddedServices
from tests.faults.crew import Crew
from tests.harness import PulseTest
from tests.temporal_operator import Operator


@pytest.fixture
def crew(idle_pulse: PulseTest, tmp_path: Path) -> Generator[Crew]:
    """Give a crew without workers; whoever is left afterwards is ended."""
    with Crew(idle_pulse, tmp_path) as made:
        yield made


@pytest.fixture
async def operator(servers: EmbeddedServices) -> Operator:
    """Give somebody with the Temporal CLI, on the servers that the engines use."""
    return Operator(await Client.connect(servers.temporal_address))
