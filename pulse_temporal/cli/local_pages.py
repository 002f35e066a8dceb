"""The pages beside embedded servers: those of ``pulse dev`` and of a demo that is kept."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pulse_temporal.engine.facade import Engine
from pulse_temporal.errors import ConfigurationError

if TYPE_CHECKING:
    from pulse_temporal.web.serving import PagesServer

HOST = "127.0.0.1"
PORT = 8765


@contextmanager
def pages_of(engine: Engine, temporal_ui: str | None) -> Generator[PagesServer | None]:
    """Return a server for the pages, whose port is taken inside the block.

    None where the extra ``web`` is not installed. On port 8765, or on any that is free.
    """
    try:
        from pulse_temporal.web.options import web_options  # noqa: PLC0415 - brings the extra
        from pulse_temporal.web.serving import PagesServer, open_socket  # noqa: PLC0415
    except ModuleNotFoundError:
        yield None
        return
    try:
        listening = open_socket(HOST, PORT)
    except ConfigurationError:  # taken
        listening = open_socket(HOST, 0)
    with listening:
        options = web_options(temporal_ui=temporal_ui) if temporal_ui else None
        yield PagesServer(engine, listening, options=options)
