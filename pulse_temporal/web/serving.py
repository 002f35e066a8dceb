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
from pulse_temporal.web.options import WebOptions, web_options

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
        host: An address of this machine.
        port: 0 for any that is free.

    Raises:
        ConfigurationError: The address is not of this machine, or the port is taken.
    """
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
        host: An address of this machine. One that others reach needs somebody who can sign in.
        port: 0 for any that is free.
        root_path: Path under which a proxy shows the pages.
        ready: Called with the address when it is listened to.

    Raises:
        ConfigurationError: The address cannot be used, or nobody could sign in.
    """
    options = web_options()
    if not is_loopback(host):
        options = options.model_copy(update={"sign_in": True})
    with open_socket(host, port) as listening:
        await engine.start(worker=False)
        try:
            if not is_loopback(host):
                await _check_sign_in(engine, host)
            server = PagesServer(engine, listening, root_path=root_path, options=options)
            ready(server.url)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
            await server.serve()
        finally:
            await engine.stop()


async def _check_sign_in(engine: Engine, host: str) -> None:
    """Check that somebody can come in where others do.

    Raises:
        ConfigurationError: Nobody can.
    """
    if not await engine.is_anybody_known():
        raise ConfigurationError(
            f"PULSE-S001: {host} may be reached from other machines, and nobody can sign in: "
            "there is no API key, no login link and no session. Make the first one, with pulse "
            "login-link NAME --role admin --tenant '*', or serve 127.0.0.1."
        )


class PagesServer:
    """Serves the pages of a started engine on a socket.

    Attributes:
        url: Where they are, with a slash at the end.
    """

    def __init__(
        self,
        engine: Engine,
        listening: socket.socket,
        *,
        root_path: str = "",
        options: WebOptions | None = None,
    ) -> None:
        host, number = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url: str = f"http://{shown}:{number}{root_path}/"
        self._listening = listening
        chosen = options or web_options()
        self._pages: Pages = asgi(engine, options=chosen)
        self._server = _Server(
            uvicorn.Config(
                self._pages,
                log_level="warning",
                lifespan="off",
                root_path=root_path,
                timeout_graceful_shutdown=GRACE_SECONDS,
                server_header=False,
                proxy_headers=bool(chosen.trusted_proxies),
                forwarded_allow_ips=chosen.trusted_proxies,
            )
        )

    async def serve(self) -> None:
        """Serve until ``stop`` is called."""
        await self._server.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Let ``serve`` return, after answers that are under way; at once when called again.

        Streams end first: an open page would keep the server up.
        """
        self._pages.topics.close()
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True
