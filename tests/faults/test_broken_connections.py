"""A connection to Postgres breaks, or half of it does: callers get a typed error, or their own."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices, PostgresServer, embedded_postgres
from pulse_temporal.errors import PostgresUnavailableError
from tests.harness import PulseTest, eventually, make_pulse
from tests.proxy import TcpProxy

pytestmark = pytest.mark.faults


class ChangedMindError(Exception):
    """The application's reason to roll back."""


async def test_a_broken_transaction_raises_what_the_application_raised(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """The pool takes a connection back when it breaks; there is nothing left to roll back."""

    async def change_mind() -> None:
        async with idle_pulse.engine.transaction() as lent:
            pid = lent.get_server_pid()
            await connection.execute("SELECT pg_terminate_backend($1)", pid)

            async def is_taken_back() -> bool:
                try:
                    return lent.is_closed()
                except asyncpg.InterfaceError:
                    return True

            await eventually(is_taken_back)
            raise ChangedMindError

    with pytest.raises(ChangedMindError):
        await change_mind()


@pytest.fixture
async def tcp_postgres() -> AsyncGenerator[PostgresServer]:
    """Run a Postgres that listens on TCP."""
    with tempfile.TemporaryDirectory(prefix="pulse-", ignore_cleanup_errors=True) as folder:
        async with embedded_postgres(folder, durable=False, port=0) as server:
            yield server


async def test_an_end_that_is_announced_and_does_not_come_is_noticed(
    tcp_postgres: PostgresServer, servers: EmbeddedServices
) -> None:
    """Postgres ends an idle connection and says so; the end itself is lost on the way."""
    dsn = tcp_postgres.tcp_dsn or ""
    port = dsn.partition("@127.0.0.1:")[2].partition("/")[0]
    watcher = await asyncpg.connect(tcp_postgres.dsn)
    async with TcpProxy(int(port)) as proxy:
        proxied = dsn.replace(f":{port}/", f":{proxy.port}/")
        pulse = make_pulse(proxied, servers.temporal_address)
        await pulse.engine.migrate()
        await proxy.become("no ends")
        before = proxy.answer_bytes
        await watcher.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        )

        async def is_announced() -> bool:
            return proxy.answer_bytes > before

        await eventually(is_announced)
        await watcher.fetchval("SELECT 1")  # meanwhile the client has read it
        with pytest.raises(PostgresUnavailableError):
            await pulse.engine.get_run("run_1")
        assert await pulse.engine.get_run("run_1") is None
        await pulse.engine.stop()
    await watcher.close()
