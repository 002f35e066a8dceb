"""A crew of worker processes for each test that kills some of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from temporalio.client import Client

from pulse_temporal.embedded import EmbeddedServices
from tests.faults.crew import Crew
from tests.faults.own_postgres import short_folder
from tests.faults.own_temporal import OwnTemporal
from tests.harness import PulseTest
from tests.processes import Programs
from tests.temporal_operator import Operator


@pytest.fixture
def crew(idle_pulse: PulseTest, tmp_path: Path, programs: Programs) -> Crew:
    """Return a crew without workers; whoever is left afterwards is ended."""
    return Crew(idle_pulse, tmp_path, programs)


@pytest.fixture
async def operator(servers: EmbeddedServices) -> Operator:
    """Return somebody with the Temporal CLI, on the servers that the engines use."""
    return Operator(await Client.connect(servers.temporal_address))


@pytest.fixture
async def temporal() -> AsyncGenerator[OwnTemporal]:
    """Run a Temporal that the test may kill."""
    with short_folder() as folder:
        async with AsyncExitStack() as stack:
            made = OwnTemporal(folder, stack)
            await made.start()
            yield made
