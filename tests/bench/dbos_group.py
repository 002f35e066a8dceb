"""DBOS Transact, which needs Postgres only: the same three steps on the same Postgres.

It is no dependency of this project. Where it cannot be imported the group says how to get it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from random import Random
from typing import Protocol

from pulse_temporal.embedded import EmbeddedServices, scratch_database
from tests.bench.baselines import STEPS
from tests.bench.contenders import CONNECTIONS, PULSE, SHORT, pulse_contenders
from tests.bench.measure import throughput
from tests.bench.results import Duel, Found, Size, servers_of

DUEL = Duel("runs/s, short actions ÷ DBOS Transact", SHORT, "DBOS", 0.85, 1.1)
MISSING = """DBOS Transact is not installed. It is no dependency of this project; give it a folder:
    .venv/bin/python -m pip install --target build/dbos dbos
    PYTHONPATH=build/dbos make bench ARGS='--only dbos'"""

Step = Callable[[str], Awaitable[dict[str, object]]]
Workflow = Callable[[str], Awaitable[str]]


class Handle(Protocol):
    """A workflow of DBOS that was started."""

    async def get_result(self) -> str:
        """Wait for its end."""
        ...


class Dbos(Protocol):
    """The part of the class ``dbos.DBOS`` that is used here."""

    def __call__(self, *, config: Mapping[str, object]) -> object:
        """Configure the one instance of the process."""
        ...

    def step(self) -> Callable[[Step], Step]:
        """Decorate a step, whose result is recorded."""
        ...

    def workflow(self) -> Callable[[Workflow], Workflow]:
        """Decorate a workflow."""
        ...

    def launch(self) -> None:
        """Make the tables and begin."""
        ...

    def destroy(self) -> None:
        """End."""
        ...

    async def start_workflow_async(self, workflow: Workflow, name: str) -> Handle:
        """Record a workflow and start it in this process."""
        ...


def is_there() -> bool:
    """True where DBOS can be imported."""
    return find_spec("dbos") is not None


async def dbos(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure whole runs of three steps, many in flight.

    Each has a database of its own on one server and as many connections. DBOS runs as its
    documentation has it for latency: workflows start directly in the process that asks for
    them, not by way of a queue, which would poll.
    """
    async with (
        scratch_database(services.dsn) as other_dsn,
        pulse_contenders(services.temporal_address, dsn) as pulse,
        dbos_runner(other_dsn) as run,
    ):
        figures = await throughput(
            {PULSE: pulse[PULSE].run, SHORT: pulse[SHORT].run, "DBOS": run},
            rounds=size.rounds,
            number=size.runs,
            in_flight=size.in_flight,
            servers=servers_of(services),
            random=random,
        )
    return Found({f"dbos {version('dbos')}": figures}, targets=[DUEL.judge(figures)])


@asynccontextmanager
async def dbos_runner(dsn: str) -> AsyncGenerator[Callable[[], Awaitable[object]]]:
    """Launch DBOS in this process and give what does one run."""
    library: Dbos = vars(import_module("dbos"))["DBOS"]
    logging.getLogger("dbos").setLevel(logging.ERROR)
    library(
        config={
            "name": "bench",
            "system_database_url": dsn,
            "sys_db_pool_size": CONNECTIONS,
            "log_level": "ERROR",
        }
    )
    numbers = count()

    @library.step()
    async def work(name: str) -> dict[str, object]:
        return {"n": len(name)}

    @library.workflow()
    async def three_steps(name: str) -> str:
        for n in range(STEPS):
            await work(f"{name}/{n}")
        return name

    async def run() -> None:
        handle = await library.start_workflow_async(three_steps, f"run-{next(numbers)}")
        await handle.get_result()

    library.launch()
    try:
        yield run
    finally:
        library.destroy()
