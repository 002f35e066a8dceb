"""The pages beside embedded servers: those of ``pulse dev`` and of a demo that is kept."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_temporal.engine.facade import Engine
from pulse_temporal.errors import ConfigurationError

if TYPE_CHECKING:
    from pulse_temporal.web.serving import PagesServer

HOST = "127.0.0.1"
PORT = 8765


@dataclass(frozen=True, slots=True)
class LocalPages:
    """A place where pages will be.

    Attributes:
        url: Their address, with a slash at the end.
    """

    url: str
    _listening: socket.socket

    def of(self, engine: Engine, temporal_ui: str | None) -> PagesServer:
        """Return the server of an engine's pages at this place."""
        from pulse_temporal.web.options import web_options  # noqa: PLC0415 - brings the extra
        from pulse_temporal.web.serving import PagesServer  # noqa: PLC0415

        options = web_options(temporal_ui=temporal_ui) if temporal_ui else None
        return PagesServer(engine, self._listening, options=options)


@contextmanager
def local_pages() -> Generator[LocalPages | None]:
    """Take a port for pages inside the block, which is known before there is an engine.

    None where the extra ``web`` is not installed. On port 8765, or on any that is free.
    """
    try:
        from pulse_temporal.web.serving import open_socket  # noqa: PLC0415 - brings the extra
    except ModuleNotFoundError:
        yield None
        return
    try:
        listening = open_socket(HOST, PORT)
    except ConfigurationError:  # taken
        listening = open_socket(HOST, 0)
    with listening:
        yield LocalPages(f"http://{HOST}:{listening.getsockname()[1]}/", listening)
