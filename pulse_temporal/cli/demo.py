"""``pulse demo``: the whole product in a few seconds, on servers of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.logs import log_file, log_tail
from pulse_temporal.cli.outro import tell_outcome, tell_where_to_look
from pulse_temporal.cli.scenario import ACTS, TENANTS, Act, definitions, register
from pulse_temporal.cli.screens import screen
from pulse_temporal.cli.watch import RunView, follow
from pulse_temporal.embedded import EmbeddedServices, embedded_services
from pulse_temporal.engine.facade import Engine, create_engine
from pulse_temporal.model.definitions import WorkflowInput

TITLE = "Pulse demo: 2 tenants, 2 workflows each, 4 runs at the same time"
RUNS_LIMIT = timedelta(seconds=60)
"""When runs are still not over, something is wrong."""

SHUTDOWN_GRACE = timedelta(seconds=2)


def demo(
    *,
    keep: Annotated[bool, Parameter(negative=())] = False,
    folder: Path | None = None,
) -> int:
    """Start Postgres and Temporal, run two workflows for two tenants, watch them live.

    Nothing has to be installed or running, and nothing is left behind. The runs show a durable
    delay, a condition, parallel branches and a retry; the exit code is 0 when each of them
    ended as it should.

    Parameters
    ----------
    keep:
        Leave the servers up after the runs, to look around in them, until Ctrl-C.
    folder:
        Keep the data in this folder, for example .pulse; without it, it is thrown away.
    """
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    with data_folder(folder) as data, log_file(data / "demo.log"):
        try:
            is_well = asyncio.run(play(data, console, progress, keep=keep, durable=folder is not None))
        except Exception:
            print_log(progress, data / "demo.log")
            raise
        if not is_well:
            print_log(progress, data / "demo.log")
    return Exit.OK if is_well else Exit.FAILED
