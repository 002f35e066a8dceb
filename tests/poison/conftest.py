"""One engine for all cases of a module; after the poison it must be as healthy as before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from itertools import count

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices
from tests.conftest import copy_template, dsn_of, run_sql
from tests.harness import PulseTest, checked_invariants, eventually, make_pulse

FILLED = (
    "pulse_triggers",
    "pulse_workflow_definitions",
    "pulse_workflow_runs",
    "pulse_workflow_step_runs",
    "pulse_run_control",
    "pulse_outbox",
)
_databases = count(1)


@pytest.fixture(scope="module")
async def poisoned(servers: EmbeddedServices, template: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine that works; at the end it still does, and all that it began is over."""
    name = f"pulse_poison_{next(_databases)}"
    await copy_template(servers.dsn, template, name=name)
    dsn = dsn_of(servers.dsn, name)
    async with checked_invariants(dsn):
        # Some poison keeps the event loop busy: that must not look like the death of the worker.
        patience = timedelta(seconds=30)
        pulse = make_pulse(
            dsn, servers.temporal_address, heartbeat_timeout=patience, task_timeout=patience
        )
        await pulse.engine.start()
        yield pulse
        await check_health(pulse)
        await pulse.engine.stop()
    await run_sql(servers.dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
async def database_of(poisoned: PulseTest) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a connection to the module's database."""
    opened = await asyncpg.connect(poisoned.dsn)
    yield opened
    await opened.close()


async def stored(connection: asyncpg.Connection) -> int:
    """Count the rows of every table that an emit or a definition fills."""
    counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in FILLED)  # noqa: S608 - our own names
    return await connection.fetchval(f"SELECT {counts}")


async def check_health(pulse: PulseTest) -> None:
    """Check that a healthy run completes, every run is over and nothing is left to be told."""
    healthy = pulse.action("healthy")
    await pulse.define("healthy", "healthy")
    run = await pulse.emit_and_wait("healthy")
    assert (run.status, healthy.call_count) == ("completed", 1)
    connection = await asyncpg.connect(pulse.dsn)

    async def is_quiet() -> bool:
        return await connection.fetchval(
            "SELECT NOT EXISTS (SELECT FROM pulse_outbox) AND NOT EXISTS (SELECT FROM "
            "pulse_workflow_runs WHERE status NOT IN ('completed', 'failed', 'canceled'))"
        )

    try:
        assert await eventually(is_quiet)
    finally:
        await connection.close()
