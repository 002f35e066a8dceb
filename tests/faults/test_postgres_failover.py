"""Postgres becomes read-only, or another server takes over: the new primary is found."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices, PostgresServer, embedded_postgres
from pulse_temporal.errors import EmitBusyError, PostgresUnavailableError
from tests.faults.load import Load
from tests.faults.own_postgres import OwnPostgres, own_postgres, short_folder, working_on
from tests.harness import eventually

pytestmark = pytest.mark.faults

EXPECTED = {PostgresUnavailableError, EmitBusyError}
READ_ONLY = "default_transaction_read_only"


@pytest.fixture
async def primary() -> AsyncGenerator[OwnPostgres]:
    """Run a Postgres that other servers may follow."""
    async with own_postgres(durable=True) as made:
        yield made


async def test_a_server_that_is_read_only_for_a_while(
    servers: EmbeddedServices, primary: OwnPostgres
) -> None:
    """It answers and takes no writes (25006): away, and back without a restart of anything."""
    async with working_on(primary, primary.dsn, servers) as pulse:
        async with Load(pulse) as load:
            await load.goes_on()
            await primary.setting(READ_ONLY, "on")
            await load.fails()
            reasons = {type(error.__cause__) for error in load.errors}
            await primary.setting(READ_ONLY, None)
            await load.goes_on()

        assert asyncpg.ReadOnlySQLTransactionError in reasons
        assert {type(error) for error in load.errors} <= EXPECTED
        await load.check()


def sockets(server: PostgresServer) -> str:
    """Return the folder of a server's socket."""
    return parse_qs(urlsplit(server.dsn).query)["host"][0]


async def follow(primary: OwnPostgres, folder: Path, stack: AsyncExitStack) -> PostgresServer:
    """Run a standby: a copy of a primary, which is stopped for a moment, that follows it."""
    primary_sockets = sockets(primary.server)
    copied = ["cp", "--archive", str(primary.server.data), str(folder / "pg")]
    await primary.stop(signal.SIGINT)
    await asyncio.to_thread(subprocess.run, copied, check=True)
    await primary.start()
    assert sockets(primary.server) == primary_sockets
    (folder / "pg" / "standby.signal").touch()
    with (folder / "pg" / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
        settings.write(
            f"primary_conninfo = 'host={primary_sockets} port={primary.port} user=pulse'\n"
        )
    return await stack.enter_async_context(embedded_postgres(folder, durable=True))


async def ask(server: PostgresServer, question: str) -> object:
    """Return the one value that a query gives."""
    connection = await asyncpg.connect(server.dsn)
    try:
        answer: object = await connection.fetchval(question)
    finally:
        await connection.close()
    return answer


async def test_a_primary_that_is_demoted_and_stays_up(
    servers: EmbeddedServices, primary: OwnPostgres
) -> None:
    """Its connections stay open, take no writes, and must not be used again.

    The DSN names both servers and asks for the one that can write; without that the engine
    would wait at the old one until its address leads elsewhere.
    """
    async with AsyncExitStack() as stack:
        standby = await follow(primary, stack.enter_context(short_folder()), stack)
        hosts = quote(f"{sockets(primary.server)},{sockets(standby)}", safe="/,")
        dsn = (
            f"postgresql://pulse@/pulse?host={hosts}&port={primary.port},5432"
            "&target_session_attrs=read-write"
        )
        async with working_on(primary, dsn, servers) as pulse:
            async with Load(pulse) as load:
                await load.goes_on()
                await primary.setting(READ_ONLY, "on")
                await load.fails()
                end = await ask(primary.server, "SELECT pg_current_wal_lsn()::text")

                async def has_all() -> bool:
                    reached = f"SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn"
                    return await ask(standby, reached) is True

                await eventually(has_all)
                await ask(standby, "SELECT pg_promote()")
                await load.goes_on()

            assert {type(error) for error in load.errors} <= EXPECTED
            await load.check()
