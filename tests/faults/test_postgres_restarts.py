"""Postgres restarts under load, or loses a process: one typed error, then everything goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator

import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.errors import EmitBusyError, PostgresUnavailableError
from tests.faults.load import Load
from tests.faults.own_postgres import OwnPostgres, own_postgres, working_on
from tests.harness import PulseTest

pytestmark = pytest.mark.faults

EXPECTED = {PostgresUnavailableError, EmitBusyError}
"""What an emit may raise meanwhile: the second when its own key may be the reason."""

OTHERS = "FROM pg_stat_activity WHERE datname = 'pulse' AND pid <> pg_backend_pid()"
ONE_OTHER = f"SELECT pid {OTHERS} LIMIT 1"
END_OTHERS = f"SELECT pg_terminate_backend(pid) {OTHERS}"


@pytest.fixture
async def postgres() -> AsyncGenerator[OwnPostgres]:
    """Run a Postgres that survives a crash."""
    async with own_postgres(durable=True) as made:
        yield made


@pytest.fixture
async def working(servers: EmbeddedServices, postgres: OwnPostgres) -> AsyncGenerator[PulseTest]:
    """Run an engine on it."""
    async with working_on(postgres, postgres.dsn, servers) as pulse:
        yield pulse


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
async def test_a_restart(working: PulseTest, postgres: OwnPostgres, how: signal.Signals) -> None:
    """A fast shutdown, an immediate one and a crash: what was accepted is there, once."""
    async with Load(working) as load:
        await load.goes_on()
        await postgres.stop(how)
        await load.fails()
        await postgres.start()
        await load.goes_on()

    assert {type(error) for error in load.errors} <= EXPECTED
    await load.check()


async def test_a_crash_of_one_server_process(working: PulseTest, postgres: OwnPostgres) -> None:
    """Postgres ends all connections then, and recovers by itself."""
    async with Load(working) as load:
        await load.goes_on()
        pid = await postgres.ask(ONE_OTHER)
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        await load.goes_on()

    assert {type(error) for error in load.errors} <= EXPECTED
    await load.check()


async def test_an_administrator_ends_all_sessions(
    working: PulseTest, postgres: OwnPostgres
) -> None:
    async with Load(working) as load:
        for _ in range(5):
            await load.goes_on(5)
            await postgres.execute(END_OTHERS)
        await load.goes_on()

    assert {type(error) for error in load.errors} <= EXPECTED
    await load.check()
