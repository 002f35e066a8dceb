"""A project that ``pulse init`` has made, and the ``pulse dev`` that runs it."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

from tests.harness import eventually
from tests.processes import Program, Programs

PATIENCE = timedelta(seconds=60)


def start_dev(programs: Programs, hello: Path, *arguments: str) -> Program:
    return programs.start(
        "-m", "pulse_temporal.cli", "dev", *arguments, cwd=hello, environment=os.environ
    )


def workers_of(dev: Program) -> list[int]:
    return [int(pid) for pid in re.findall(r"worker   process (\d+)", dev.stdout)]


async def next_worker(dev: Program, number: int) -> int:
    """Wait until so many workers have been started, and give the last one."""

    async def look() -> int | None:
        pids = workers_of(dev)
        return pids[number - 1] if len(pids) >= number else None

    return await eventually(look, within=PATIENCE)
