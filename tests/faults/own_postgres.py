"""A Postgres of the test's own: restarted, demoted, filled up, and back on the same data."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Unpack
from urllib.parse import urlsplit

import asyncpg

from pulse_temporal.config import EngineSettings
from pulse_temporal.embedded import EmbeddedServices, PostgresServer, embedded_postgres
from pulse_temporal.embedded.ports import free_ports
from tests.harness import PulseTest, checked_invariants, make_pulse
from tests.leaks import assert_nothing_left

STOP_SECONDS = 30.0


@contextmanager
def short_folder() -> Generator[Path]:
    """Yield a throwaway folder whose path is short enough for the socket of a server."""
    made = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class OwnPostgres:
    """One data folder and the server on it, which keeps its address through restarts.

    Attributes:
        port: Of the server on 127.0.0.1.
        server: The one that runs, or ran last.
    """

    def __init__(
        self, folder: Path, stack: AsyncExitStack, *, durable: bool, max_connections: int = 200
    ) -> None:
        self.folder = folder
        self.port = free_ports([0])[0]
        self.durable = durable
        self.max_connections = max_connections
        self.server: PostgresServer
        self._stack = stack

    @property
    def dsn(self) -> str:
        """How to connect over TCP, as a proxy needs it."""
        assert self.server.tcp_dsn is not None
        return self.server.tcp_dsn

    async def start(self) -> None:
        """Start the server on the data that it left behind."""
        block = embedded_postgres(
            self.folder,
            durable=self.durable,
            port=self.port,
            max_connections=self.max_connections,
        )
        self.server = await self._stack.enter_async_context(block)

    async def stop(self, how: signal.Signals) -> None:
        """Stop it: SIGINT is a fast shutdown, SIGQUIT an immediate one, SIGKILL a crash."""
        with suppress(ProcessLookupError):
            os.kill(self.server.pid, how)
        async with asyncio.timeout(STOP_SECONDS):
            await self._stack.aclose()

    async def revive(self) -> None:
        """Clean up behind a server that has ended, or is about to, and start it again."""
        await self.stop(signal.SIGQUIT)
        await self.start()

    async def execute(self, *statements: str) -> None:
        """Run statements as superuser, each on its own, on a connection of the test."""
        connection = await asyncpg.connect(self.server.dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def ask(self, question: str, *arguments: object) -> object:
        """Return the one value that a query gives."""
        connection = await asyncpg.connect(self.server.dsn)
        try:
            answer: object = await connection.fetchval(question, *arguments)
        finally:
            await connection.close()
        return answer

    async def setting(self, name: str, value: str | None) -> None:
        """Change a setting of the whole server, or take the change back with None."""
        change = f"SET {name} = '{value}'" if value is not None else f"RESET {name}"
        await self.execute(
            "SET default_transaction_read_only = off",
            f"ALTER SYSTEM {change}",
            "SELECT pg_reload_conf()",
        )


@asynccontextmanager
async def own_postgres(
    *, durable: bool = False, max_connections: int = 200
) -> AsyncGenerator[OwnPostgres]:
    """Run a Postgres that the test may treat badly."""
    with short_folder() as folder:
        async with AsyncExitStack() as stack:
            made = OwnPostgres(folder, stack, durable=durable, max_connections=max_connections)
            await made.start()
            yield made


def through(dsn: str, port: int) -> str:
    """Return a DSN that leads to another port of the same host, such as a proxy's."""
    parts = urlsplit(dsn)
    return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()


@asynccontextmanager
async def working_on(
    postgres: OwnPostgres,
    dsn: str,
    servers: EmbeddedServices,
    **settings: Unpack[EngineSettings],
) -> AsyncGenerator[PulseTest]:
    """Run an engine on a Postgres that will suffer; afterwards its invariants must hold.

    Args:
        postgres: As it is without any fault.
        dsn: The engine's way to it, which may lead through a proxy.
        servers: For Temporal.
        settings: Of the engine, on top of short time limits.
    """
    bound = timedelta(seconds=2)
    short: EngineSettings = {
        "heartbeat_timeout": bound,
        "task_timeout": bound,
        "postgres_timeout": bound,
        "shutdown_grace": bound,
    }
    pulse = make_pulse(dsn, servers.temporal_address, **(short | settings))
    await pulse.engine.migrate()
    async with pulse.engine:
        yield pulse
    await assert_nothing_left(postgres.server.dsn, database="pulse")
    async with checked_invariants(postgres.dsn):
        pass
