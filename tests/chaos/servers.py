"""A Postgres and a Temporal that can be killed and come back, each behind a proxy."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from typing_extensions import override

from pulse_temporal.embedded import (
    PostgresServer,
    TemporalServer,
    embedded_postgres,
    embedded_temporal,
)
from tests.processes import children, kill_at_once
from tests.proxy import LOCALHOST, TcpProxy, reserved_port

REMEMBER_COMMITS = "ALTER SYSTEM SET track_commit_timestamp = on"


class Host(ABC):
    """A server on one folder and one port, through all its lives.

    Attributes:
        proxy: What the crew connects to; the audit goes straight to the server.
    """

    def __init__(self, folder: Path, *, port: int, proxy: TcpProxy) -> None:
        self.folder = folder
        self.port = port
        self.proxy = proxy
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()

    @property
    @abstractmethod
    def pid(self) -> int:
        """Process id of the server."""

    @abstractmethod
    async def start(self) -> None:
        """Start it on the data that it left behind."""

    async def stop(self) -> None:
        """Shut it down in good order."""
        await self._stack.aclose()

    async def kill(self, *, away_seconds: float) -> bool:
        """Kill it and start it again after a while; False: it was gone already.

        Whoever comes meanwhile waits for its next life.
        """
        async with self._lock:
            killed = kill_at_once(self.pid)
            await self.stop()
            await asyncio.sleep(away_seconds)
            await self.start()
        return killed


class PostgresHost(Host):
    """Postgres."""

    server: PostgresServer

    @property
    @override
    def pid(self) -> int:
        return self.server.pid

    @property
    def dsn(self) -> str:
        """Straight to the server."""
        return self.server.dsn

    @property
    def proxied_dsn(self) -> str:
        """Through the proxy; the same in every life."""
        parts = urlsplit(self.server.tcp_dsn or "")
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@{self.proxy.address}").geturl()

    @override
    async def start(self) -> None:
        block = embedded_postgres(self.folder, port=self.port)
        self.server = await self._stack.enter_async_context(block)

    async def kill_backend(self, chance: random.Random) -> bool:
        """Kill one server process of a client, upon which Postgres restarts all of them."""
        async with self._lock:
            mark = f" {LOCALHOST}("
            backends = [pid for pid, line in children(self.pid) if mark in line]
            return bool(backends) and kill_at_once(chance.choice(sorted(backends)))

    async def remember_commits(self) -> None:
        """Let the server keep the moment of each commit, for the audit."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(REMEMBER_COMMITS)
        finally:
            await connection.close()
        await self.stop()
        await self.start()


class TemporalHost(Host):
    """Temporal."""

    server: TemporalServer

    @property
    @override
    def pid(self) -> int:
        return self.server.pid

    @property
    def address(self) -> str:
        """Straight to the server."""
        return self.server.address

    @override
    async def start(self) -> None:
        block = embedded_temporal(self.folder, ui=False, port=self.port)
        self.server = await self._stack.enter_async_context(block)


class Servers:
    """Both of them."""

    def __init__(self, postgres: PostgresHost, temporal: TemporalHost) -> None:
        self.postgres = postgres
        self.temporal = temporal

    @property
    def proxies(self) -> dict[str, TcpProxy]:
        """Return the ways to them, by name."""
        return {"postgres": self.postgres.proxy, "temporal": self.temporal.proxy}


@asynccontextmanager
async def running_servers(folder: Path, chance: random.Random) -> AsyncGenerator[Servers]:
    """Run both inside the block, on ports that stay theirs while they are down."""
    async with AsyncExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(2)]
        proxies = [
            await stack.enter_async_context(TcpProxy(port, chance=chance)) for port in ports
        ]
        postgres = PostgresHost(folder, port=ports[0], proxy=proxies[0])
        temporal = TemporalHost(folder, port=ports[1], proxy=proxies[1])
        for host in (postgres, temporal):
            await host.start()
            stack.push_async_callback(host.stop)
        await postgres.remember_commits()
        yield Servers(postgres, temporal)
