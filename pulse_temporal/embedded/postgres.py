"""Run a local Postgres: its data folder, its server and its connection strings."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import SIGINT, SIGQUIT
from urllib.parse import quote

import asyncpg

from pulse_temporal.embedded.binaries import clean_environment, find_postgres
from pulse_temporal.embedded.folder import lock_folder, make_folder
from pulse_temporal.embedded.identity import Place, choose_place
from pulse_temporal.embedded.ports import free_ports
from pulse_temporal.embedded.process import Launch, ServerProcess
from pulse_temporal.errors import EmbeddedServiceError

ROLE = "pulse"
DATABASE = "pulse"
SOCKET_PORT = 5432
START_LIMIT = timedelta(seconds=60)
"""Bound of a start; a server that was killed first recovers from its log."""

INITDB_LIMIT = timedelta(seconds=120)
CONNECT_SECONDS = 5.0
POLL_SECONDS = 0.01
SOCKET_PATH_BYTES = 100
"""Bound of a socket's path; systems allow 103 to 107 bytes."""

BUILTIN_LOCALE_MAJOR = 17
STOP_PLAN = ((SIGINT, timedelta(seconds=10)), (SIGQUIT, timedelta(seconds=3)))
"""A fast shutdown; if that takes too long, an immediate one, after which the next start recovers.

SIGTERM would be a "smart" shutdown, which waits until every client has disconnected.
"""

NOT_YET = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)
"""Errors of a connection to a server that is still starting."""

THROWAWAY_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running Postgres, on which the caller is a superuser.

    Attributes:
        dsn: Connection string over the Unix socket, for asyncpg and libpq.
        tcp_dsn: Connection string over 127.0.0.1 with a password; None without a port.
        psql: Command line that opens a terminal session.
        data: The data folder.
        major: Major version of the server.
        pid: Process id of the postmaster.
    """

    dsn: str
    tcp_dsn: str | None
    psql: str
    data: Path
    major: int
    pid: int


@asynccontextmanager
async def embedded_postgres(
    folder: Path | str,
    *,
    durable: bool = True,
    port: int | None = None,
    max_connections: int = 200,
) -> AsyncGenerator[PostgresServer]:
    """Run a Postgres on the data in ``folder/pg`` inside the block.

    The first start makes the data folder (0.7 s), a later one takes 0.1 s; after either, the
    server has answered a query. It logs to ``folder/postgres.log``, and stops with the block or
    with this process, however that ends.

    Args:
        folder: Made when missing. One process at a time may use it.
        durable: False is for data that may be lost: nothing is synced to disk.
        port: Also listen on this port of 127.0.0.1 (0: any free one); the password is kept in
            ``folder/postgres.password``. None: only on a Unix socket.
        max_connections: Largest number of clients at a time.

    Raises:
        EmbeddedServiceError: The programs are missing, the folder is in use, or the server does
            not start.
    """
    path = make_folder(folder)
    async with lock_folder(path, service="postgres") as lock:
        place = choose_place(path, find_postgres())
        cluster = Cluster(place, folder=path, durable=durable, lock=lock)
        await cluster.prepare()
        with socket_folder(place) as sockets:
            process, tcp_port = cluster.launch(sockets, port=port, max_connections=max_connections)
            try:
                dsn = await cluster.wait_until_ready(process, sockets, port=tcp_port)
                tcp_dsn = None if tcp_port is None else await allow_password(dsn, path, tcp_port)
                yield PostgresServer(
                    dsn=dsn,
                    tcp_dsn=tcp_dsn,
                    psql=psql_line(place, sockets, port=tcp_port or SOCKET_PORT),
                    data=place.data,
                    major=place.programs.major,
                    pid=process.pid,
                )
            finally:
                await process.stop()


class Cluster:
    """One data folder, and the programs that run on it."""

    def __init__(self, place: Place, *, folder: Path, durable: bool, lock: int) -> None:
        self.place = place
        self.folder = folder
        self.durable = durable
        self.lock = lock

    async def prepare(self) -> None:
        """Make the data folder if there is none, and check that these programs can read it.

        It is made under another name and renamed when complete, so an interrupted start is
        repeated (``tests/embedded/test_postgres.py::an_interrupted_first_start_is_repeated``).

        Raises:
            EmbeddedServiceError: It cannot be made, or another version of Postgres has made it.
        """
        data = self.place.data
        if not data.exists():
            new = data.with_name(f"{data.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            self.place.hand_over(new)
            await self.run_initdb(new)
            new.rename(data)
        version = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != str(self.place.programs.major):
            raise EmbeddedServiceError(
                f"The data in {data} was made by Postgres {version}, but"
                f" {self.place.programs.postgres} is version {self.place.programs.major}. Set"
                f" PULSE_PG_BIN to the programs of version {version}, or choose another folder."
            )

    async def run_initdb(self, target: Path) -> None:
        """Fill an empty folder with a new cluster, in which text sorts alike on every system."""
        arguments = [
            *(f"--pgdata={target}", f"--username={ROLE}", "--encoding=UTF8", "--locale=C"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"),
        ]
        if self.place.programs.major >= BUILTIN_LOCALE_MAJOR:
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            arguments.append("--no-sync")
        process = self.run(self.place.programs.initdb, arguments, log="initdb.log")
        try:
            status = await process.wait(INITDB_LIMIT)
        finally:
            await process.stop()
        if status != 0:
            reason = "took too long" if status is None else f"failed with status {status}"
            raise process.failure(f"Making the Postgres data folder {target} {reason}.")

    def launch(
        self, sockets: Path, *, port: int | None, max_connections: int
    ) -> tuple[ServerProcess, int | None]:
        """Start the server; return it, and its TCP port if one was asked for."""
        tcp_port = free_ports([0])[0] if port == 0 else port
        settings = [
            "listen_addresses=" + ("127.0.0.1" if tcp_port else ""),
            f"port={tcp_port or SOCKET_PORT}",
            # Quoted, as the setting is a list, and a path may contain blanks.
            "unix_socket_directories=" + '"{}"'.format(str(sockets).replace('"', '""')),
            "unix_socket_permissions=0700",
            f"max_connections={max_connections}",
            "timezone=UTC",
            "log_timezone=UTC",
            *(() if self.durable else THROWAWAY_SETTINGS),
        ]
        remove_stale_pid_file(self.place.data)
        arguments = [f"-D{self.place.data}", *(f"-c{setting}" for setting in settings)]
        return self.run(self.place.programs.postgres, arguments, log="postgres.log"), tcp_port

    def run(self, program: Path, arguments: Sequence[str], *, log: str) -> ServerProcess:
        """Run one of the programs under a watchdog."""
        return ServerProcess(
            Launch(
                command=[str(program), *arguments],
                environment=clean_environment("PG"),
                log=self.folder / log,
                identity=self.place.identity,
                stop=STOP_PLAN,
                lock=self.lock,
            )
        )

    async def wait_until_ready(
        self, process: ServerProcess, sockets: Path, *, port: int | None
    ) -> str:
        """Wait until the database answers a query, and return its DSN.

        Raises:
            EmbeddedServiceError: The server ended, or did not answer within ``START_LIMIT``.
        """
        dsn = socket_dsn(DATABASE, sockets, port=port or SOCKET_PORT)
        deadline = time.monotonic() + START_LIMIT.total_seconds()
        while True:
            status = process.exit_status
            if status is not None:
                raise process.failure(f"Postgres ended with status {status} during its start.")
            try:
                await answer_query(dsn)
            except asyncpg.InvalidCatalogNameError:  # the first start of a new data folder
                await create_database(socket_dsn("postgres", sockets, port=port or SOCKET_PORT))
            except NOT_YET as error:
                if time.monotonic() > deadline:
                    message = f"Postgres in {self.folder} did not answer within {START_LIMIT}."
                    raise process.failure(message) from error
                await asyncio.sleep(POLL_SECONDS)
            else:
                return dsn


def remove_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a killed postmaster if its pid now belongs to another process.

    Postgres checks only that a process with that pid exists, and refuses to start; after a
    reboot one often does. A postmaster has its data folder as working directory, no other
    process has. Where that cannot be read (macOS), the decision is left to Postgres.
    """
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text(encoding="ascii").split(maxsplit=1)[0])
        if Path(f"/proc/{pid}/cwd").resolve(strict=True) != data.resolve():
            file.unlink()
    except (OSError, ValueError, IndexError):
        return


@contextmanager
def socket_folder(place: Place) -> Generator[Path]:
    """Yield the folder for the socket: the data folder, or a private one with a short path."""
    if fits_socket(place.data):
        yield place.data
        return
    usual = tempfile.gettempdir()
    is_short = len(os.fsencode(usual)) <= SOCKET_PATH_BYTES // 2
    parent = usual if is_short else "/tmp"  # noqa: S108  # mkdtemp makes a private folder in it
    made = Path(tempfile.mkdtemp(prefix="pulse-", dir=parent))
    try:
        place.hand_over(made)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def fits_socket(folder: Path) -> bool:
    """Return whether a socket in ``folder`` can be bound and named in a DSN.

    Its path may be too long. With a comma, drivers would read it as a list of hosts.
    """
    name = os.fsencode(folder / f".s.PGSQL.{65535}")
    return len(name) <= SOCKET_PATH_BYTES and b"," not in name


def socket_dsn(database: str, sockets: Path, *, port: int) -> str:
    """Return the DSN of a database over a Unix socket; the port is part of the socket's name."""
    return f"postgresql://{ROLE}@/{database}?host={quote(str(sockets), safe='/')}&port={port}"


def psql_line(place: Place, sockets: Path, *, port: int) -> str:
    """Return a command line for a terminal, with the full path if psql is not on PATH."""
    bundled = place.programs.folder / "psql"
    program = "psql" if shutil.which("psql") or not bundled.exists() else str(bundled)
    host = str(sockets)
    if not all(character.isalnum() or character in "/._-" for character in host):
        host = "'" + host.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return shlex.join([program, f"host={host} port={port} user={ROLE} dbname={DATABASE}"])


async def answer_query(dsn: str) -> None:
    """Connect, send one query and disconnect; raise if any of it fails."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def create_database(dsn: str) -> None:
    """Create the database ``pulse``, which a new cluster lacks."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def allow_password(dsn: str, folder: Path, port: int) -> str:
    """Set the role's password to the one kept in ``folder``, and return the DSN over TCP."""
    file = folder / "postgres.password"
    if not file.exists():
        file.touch(mode=0o600)  # before the password is in it, so that nobody else can open it
    password = file.read_text(encoding="ascii").strip()
    if not password.isalnum():
        password = secrets.token_hex(24)
        file.write_text(f"{password}\n", encoding="ascii")
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
    return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=disable"
