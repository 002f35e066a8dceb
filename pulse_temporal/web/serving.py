"""Serve the pages from a process of their own."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from typing_extensions import override

from pulse_temporal.engine.facade import Engine
from pulse_temporal.errors import ConfigurationError
from pulse_temporal.web.app import Pages, asgi
from pulse_temporal.web.guard.hosts import is_loopback

GRACE_SECONDS = 5
BACKLOG = 512


class _Server(uvicorn.Server):
    """Leaves signals to whoever serves: the engine has to be stopped after the server."""

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: An address, or a name of the loopback device.
        port: 0 for any that is free.

    Raises:
        ConfigurationError: It is reached from other machines, and nobody has said how people are
            recognised; or the port is taken.
    """
    if not is_loopback(host):
        raise ConfigurationError(
            f"Pages without sign-in are for this machine alone, and {host} may be reached from "
            "others. Serve 127.0.0.1, or mount pulse_temporal.web.asgi(engine, authenticate=…) "
            "in an application that knows who asks."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another with --port."
        ) from error


async def run_pages(
    engine: Engine, *, host: str, port: int, root_path: str, ready: Callable[[str], None]
) -> None:
    """Serve the pages of an engine until SIGTERM or SIGINT; a second signal ends at once.

    Args:
        engine: Is started without a worker, and stopped.
        host: An address, or a name of the loopback device.
        port: 0 for any that is free.
        root_path: Path under which a proxy shows the pages.
        ready: Called with the address when it is listened to.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    pages = asgi(engine)
    with open_socket(host, port) as listening:
        await engine.start(worker=False)
        try:
            number: int = listening.getsockname()[1]
            ready(f"http://{f'[{host}]' if ':' in host else host}:{number}{root_path}/")
            await _serve(pages, listening, root_path=root_path)
        finally:
            await engine.stop()


async def _serve(pages: Pages, listening: socket.socket, *, root_path: str) -> None:
    """Serve until told to stop; streams end first, as an open page would keep the server up."""
    config = uvicorn.Config(
        pages,
        log_level="warning",
        lifespan="off",
        root_path=root_path,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,
    )
    server = _Server(config)

    def stop() -> None:
        pages.topics.close()
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listening])
