"""The sandbox at work: its guard is on, and what a run loads anew is small."""

from __future__ import annotations

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from pulse_temporal.embedded import EmbeddedServices
from tests.replay.guarded import Guarded
from tests.sandbox import workflow_runner


@pytest.fixture
async def loaded(servers: EmbeddedServices) -> list[str]:
    """Return the names of the modules that a workflow finds in its sandbox."""
    client = await Client.connect(servers.temporal_address)
    async with Worker(
        client, task_queue="guarded", workflows=[Guarded], workflow_runner=workflow_runner()
    ):
        return await client.execute_workflow(Guarded.run, id="guarded", task_queue="guarded")


async def test_workflow_code_cannot_read_the_clock(loaded: list[str]) -> None:
    """``Guarded`` gives nothing when nobody stops it."""
    assert "pulse_temporal.workflows.pulse" in loaded


@pytest.mark.parametrize("library", ["asyncpg", "croniter", "uuid_utils", "temporalio.client"])
async def test_workflows_do_not_load_libraries_anew(loaded: list[str], library: str) -> None:
    """croniter in a sandbox stops the worker; the others cost tens of milliseconds a run."""
    assert not [name for name in loaded if f"{name}.".startswith(f"{library}.")]
