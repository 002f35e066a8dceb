"""Users, operators and a worker that comes and goes, in any order; nothing is lost or mixed up.

``PULSE_MACHINE_EXAMPLES=50`` plays that many stories, other ones every time; without it the same
few are played on every machine. What fails is shrunk and printed as the calls that lead to it.
"""

from __future__ import annotations

import asyncio
import os
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from pulse_temporal.embedded import EmbeddedServices
from tests.model.machine import PulseMachine
from tests.model.world import World

MORE = os.environ.get("PULSE_MACHINE_EXAMPLES")


@pytest.mark.timeout(0 if MORE else 600)
async def test_runs_follow_the_model_through_any_sequence_of_operations(
    servers: EmbeddedServices, database: str
) -> None:
    """The machine has a thread of its own; engines and servers live on the tests' loop."""
    loop = asyncio.get_running_loop()
    numbers = count(1)

    def machine() -> PulseMachine:
        return PulseMachine(World(database, servers.temporal_address, loop, number=next(numbers)))

    await asyncio.to_thread(
        run_state_machine_as_test,
        machine,  # pyright: ignore[reportArgumentType] - whatever makes one will do
        settings=settings(
            max_examples=int(MORE or 5),
            stateful_step_count=20,
            derandomize=not MORE,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
