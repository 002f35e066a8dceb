"""Run a local Temporal dev server: its ports, its flags, and the wait until it is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL, SIGTERM

from pulse_temporal.embedded.binaries import clean_environment, find_temporal
from pulse_temporal.embedded.folder import lock_folder, make_folder
from pulse_temporal.embedded.ports import LOCALHOST, free_ports
from pulse_temporal.embedded.process import SAME_USER, Launch, ServerProcess
from pulse_temporal.errors import EmbeddedServiceError

NAMESPACE = "default"
USUAL_PORT = 7233
USUAL_UI_PORT = 8233
SEARCH_ATTRIBUTES = ("PulseTenant", "PulseDefinition", "PulseTrigger")
"""Search attributes of type Keyword that every run has."""

TUNING = (
    "history.transferProcessorMaxPollRPS=200",  # a task hop takes 5 ms instead of 50
    "history.timerProcessorMaxPollRPS=200",
    'history.timerProcessorMaxTimeShift="10ms"',  # a short timer is not rounded up to 1 s
    "matching.enableFairness=true",  # a busy tenant does not starve a quiet one
)
START_LIMIT = timedelta(seconds=30)
START_ATTEMPTS = 5
PORT_TAKEN = "address already in use"
ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalServer:
    """A running Temporal dev server with the namespace ``default``.

    Attributes:
        address: ``host:port`` for Temporal clients.
        ui: URL of Temporal's web pages; None when they were not asked for.
        pid: Process id of the server.
    """

    address: str
    ui: str | None
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports of one attempt to start the server.

    Attributes:
        grpc: For Temporal clients.
        http: For the same calls as JSON; used to find out whether the server is ready.
        ui: For the web pages; None without them.
    """

    grpc: int
    http: int
    ui: int | None


@asynccontextmanager
async def embedded_temporal(
    folder: Path | str,
    *,
    durable: bool = True,
    ui: bool = True,
    port: int | None = None,
    ui_port: int | None = None,
) -> AsyncGenerator[TemporalServer]:
    """Run a Temporal dev server on ``folder/temporal.db`` inside the block.

    It has answered a call when the block begins, after about 0.3 s, and has Pulse's search
    attributes. It logs to ``folder/temporal.log``, and stops with the block or with this
    process, however that ends.

    Args:
        folder: Made when missing. One process at a time may use it.
        durable: False keeps everything in memory, and kills the server to stop it.
        ui: Also serve the web pages.
        port: Exactly this port. None: 7233, or any free one when that is taken.
        ui_port: Exactly this port. None: 8233, or any free one when that is taken.

    Raises:
        EmbeddedServiceError: The program is missing, the folder is in use, a port that was
            named is taken, or the server does not start.
    """
    path = make_folder(folder)
    async with lock_folder(path, service="temporal") as lock:
        dev_server = DevServer(find_temporal(), folder=path, durable=durable, lock=lock)
        process, ports = await dev_server.start(ui=ui, port=port, ui_port=ui_port)
        try:
            yield TemporalServer(
                address=f"{LOCALHOST}:{ports.grpc}",
                ui=None if ports.ui is None else f"http://{LOCALHOST}:{ports.ui}",
                pid=process.pid,
            )
        finally:
            await process.stop()


class DevServer:
    """Starts the server on one folder."""

    def __init__(self, program: Path, *, folder: Path, durable: bool, lock: int) -> None:
        self.program = program
        self.folder = folder
        self.durable = durable
        self.lock = lock

    async def start(
        self, *, ui: bool, port: int | None, ui_port: int | None
    ) -> tuple[ServerProcess, Ports]:
        """Start the server and wait until it answers.

        A port that was free may be taken a moment later. Then the server logs it and ends; it
        is started again, up to five times, with other ports but for those that the caller named
        (``test_temporal_server.py::servers_started_at_the_same_moment_share_no_port``).
        """
        attempt = 0
        while True:
            attempt += 1
            grpc, http, page = free_ports([port or USUAL_PORT, 0, ui_port or USUAL_UI_PORT])
            ports = Ports(grpc=port or grpc, http=http, ui=(ui_port or page) if ui else None)
            process = self.launch(ports)
            try:
                await self.wait_until_ready(process, ports)
            except BaseException as error:
                await process.stop()
                if attempt == START_ATTEMPTS or not is_port_conflict(process, error):
                    raise
            else:
                return process, ports

    def launch(self, ports: Ports) -> ServerProcess:
        """Start the server under a watchdog."""
        return ServerProcess(
            Launch(
                command=self.command(ports),
                environment=clean_environment("TEMPORAL_"),
                log=self.folder / "temporal.log",
                identity=SAME_USER,
                stop=((SIGTERM if self.durable else SIGKILL, timedelta(seconds=5)),),
                lock=self.lock,
            )
        )

    def command(self, ports: Ports) -> list[str]:
        """Return the server's command line."""
        command = [str(self.program), "server", "start-dev", "--log-level", "warn"]
        command += ["--ip", LOCALHOST, "--port", str(ports.grpc), "--http-port", str(ports.http)]
        command += ["--headless"] if ports.ui is None else ["--ui-port", str(ports.ui)]
        if self.durable:
            command += ["--db-filename", str(self.folder / "temporal.db")]
            # With SQLite's defaults, a run takes more than twice as long (measured).
            command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"]
        for setting in TUNING:
            command += ["--dynamic-config-value", setting]
        for name in SEARCH_ATTRIBUTES:
            command += ["--search-attribute", f"{name}=Keyword"]
        return command

    async def wait_until_ready(self, process: ServerProcess, ports: Ports) -> None:
        """Wait until the server describes its namespace and accepts clients.

        The HTTP port is asked, which only this server has: on the usual port, a server that
        somebody else started could answer.

        Raises:
            EmbeddedServiceError: The server ended, or did not answer within ``START_LIMIT``.
        """
        deadline = time.monotonic() + START_LIMIT.total_seconds()
        while not await is_ready(ports):
            status = process.exit_status
            if status is not None:
                raise process.failure(f"Temporal ended with status {status} during its start.")
            if time.monotonic() > deadline:
                raise process.failure(
                    f"Temporal in {self.folder} did not answer within {START_LIMIT}."
                )
            await asyncio.sleep(POLL_SECONDS)


def is_port_conflict(process: ServerProcess, error: BaseException) -> bool:
    """Return whether the server ended because another process had taken one of its ports."""
    return isinstance(error, EmbeddedServiceError) and PORT_TAKEN in process.log_text()


async def is_ready(ports: Ports) -> bool:
    """Return whether the server answers DescribeNamespace and all its ports take connections."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            status = await ask(ports.http, f"/api/v1/namespaces/{NAMESPACE}")
            for port in (ports.grpc, ports.ui):
                if port is not None:
                    _, writer = await asyncio.open_connection(LOCALHOST, port)
                    writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


async def ask(port: int, path: str) -> bytes:
    """Send a GET request to the server and return the status line of the answer."""
    reader, writer = await asyncio.open_connection(LOCALHOST, port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {LOCALHOST}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        return await reader.readline()
    finally:
        writer.close()
