"""``pulse serve``: the pages, from a process of their own."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import connect
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.engine.service import load_register

EXTRA = frozenset({"fastapi", "jinja2", "starlette", "uvicorn"})


def serve(
    app: Annotated[str, Parameter(env_var="PULSE_APP")] = "",
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    root_path: str = "",
) -> int:
    """Serve the pages, until told to stop.

    Runs no handlers: that is what pulse worker is for. Settings come from the environment:
    DATABASE_URL, TEMPORAL_* or temporal.toml, PULSE_* and PULSE_WEB_*. At this machine nobody need
    sign in; where others may come in, with another --host, PULSE_WEB_HOSTS or
    PULSE_WEB_TRUSTED_PROXIES, everybody must (pulse login-link).

    Parameters
    ----------
    app:
        The function that registers signals and handlers, as package.module:function; pages show
        what they are for.
    host:
        Address to listen on. One that others reach needs somebody who can sign in.
    port:
        Port to listen on; 0 for any that is free.
    root_path:
        Path under which a proxy shows the pages.
    """
    try:
        from pulse_temporal.web.serving import run_pages  # noqa: PLC0415 - brings the extra
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in EXTRA:
            raise
        raise UsageError(
            "pulse serve needs fastapi, jinja2 and uvicorn: the extra [web]."
        ) from missing
    engine = connect()
    if app:
        load_register(app)(engine)

    def ready(url: str) -> None:
        sys.stderr.write(f"Pulse: {url}\n")

    asyncio.run(run_pages(engine, host=host, port=port, root_path=root_path, ready=ready))
    return Exit.OK
