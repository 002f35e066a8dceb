"""Run Temporal's test server, whose clock jumps on demand: three days pass in milliseconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL

from pulse_temporal.embedded.binaries import clean_environment, find_test_server
from pulse_temporal.embedded.folder import lock_folder, make_folder
from pulse_temporal.embedded.ports import LOCALHOST, free_ports
from pulse_temporal.embedded.process import SAME_USER, Launch, ServerProcess
from pulse_temporal.errors import EmbeddedServiceError

START_LIMIT = timedelta(seconds=30)
START_ATTEMPTS = 5
PORT_TAKEN = "Address already in use"
POLL_SECONDS = 0.01


@asynccontextmanager
async def embedded_test_server(folder: Path | str) -> AsyncGenerator[str]:
    """Run Temporal's test server inside the block and yield its ``host:port``.

    It is ready in about 0.1 s, keeps everything in memory, and stops with the block or with
    this process, however that ends. Its clock runs with real time until it is moved. It has
    neither schedules nor lists of workflows.

    Args:
        folder: For its log; made when missing. One server at a time may use it.

    Raises:
        EmbeddedServiceError: The program is missing, the folder is in use, or the server does
            not start.
    """
    path = make_folder(folder)
    async with lock_folder(path, service="temporal-test") as lock:
        process, address = await _start(find_test_server(), folder=path, lock=lock)
        try:
            yield address
        finally:
            await process.stop()


async def _start(program: Path, *, folder: Path, lock: int) -> tuple[ServerProcess, str]:
    """Start the server; if its port was taken meanwhile, again with another one."""
    attempt = 0
    while True:
        attempt += 1
        (port,) = free_ports([0])
        process = ServerProcess(
            Launch(
                # Not --enable-time-skipping, with which the clock skips by itself.
                command=[str(program), str(port)],
                environment=clean_environment("TEMPORAL_"),
                log=folder / "temporal-test.log",
                identity=SAME_USER,
                stop=((SIGKILL, timedelta(seconds=5)),),
                lock=lock,
            )
        )
        try:
            await _wait_until_ready(process, port)
        except BaseException as error:
            await process.stop()
            is_conflict = isinstance(error, EmbeddedServiceError) and (
                PORT_TAKEN in process.log_text()
            )
            if attempt == START_ATTEMPTS or not is_conflict:
                raise
        else:
            return process, f"{LOCALHOST}:{port}"


async def _wait_until_ready(process: ServerProcess, port: int) -> None:
    """Wait until the port takes connections; raise when the server has ended or takes too long."""
    deadline = time.monotonic() + START_LIMIT.total_seconds()
    while not await _accepts(port):
        if process.exit_status is not None:
            raise process.failure("Temporal's test server ended during its start.")
        if time.monotonic() > deadline:
            raise process.failure(f"Temporal's test server did not answer within {START_LIMIT}.")
        await asyncio.sleep(POLL_SECONDS)
    # The port may be taken by another server, which accepts while ours has ended.
    if process.exit_status is not None:
        raise process.failure("Temporal's test server ended during its start.")


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOCALHOST, port)
    except OSError:
        return False
    writer.close()
    return True
