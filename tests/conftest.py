"""Servers for the whole session; a database, a task queue and an invariant check for each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from itertools import count
from typing import TypeAlias

import asyncpg
import pytest
from hypothesis import settings

from pulse_temporal import create_engine
from pulse_temporal.embedded import EmbeddedServices, embedded_services
from tests.harness import PulseTest, checked_invariants, make_pulse
from tests.leaks import assert_nothing_left
from tests.processes import Programs
from tests.scratch import close_scratch, open_scratch

# How long an example takes says more about the machine than about the code.
settings.register_profile("pulse", deadline=None)
settings.load_profile("pulse")

Sent: TypeAlias = "str | float | list[Sent] | tuple[Sent, ...] | dict[str, Sent] | None"
"""What a worker process may report."""

TEMPLATE = "pulse_template"
MOST_WORKERS = 12
"""Each has a Postgres and a Temporal, which take half a gigabyte."""

_databases = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the run, in memory where there is room."""
    folder = open_scratch()
    config.add_cleanup(lambda: close_scratch(folder))


def pytest_xdist_auto_num_workers() -> int:
    """Return twice the number of cores: about half of the time a test waits for something."""
    return min(2 * (os.cpu_count() or 1), MOST_WORKERS)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Sent, Sent]:
    """Escape what has no UTF-8 in a report: a log of poison cannot leave its worker otherwise."""
    return _encodable((yield))


def _encodable(value: Sent) -> Sent:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case dict():
            return {key: _encodable(inner) for key, inner in value.items()}
        case list():
            return [_encodable(inner) for inner in value]
        case tuple():  # the place and the reason of a skipped test must stay one
            return tuple(_encodable(inner) for inner in value)
        case _:
            return value


@pytest.fixture(scope="session")
async def servers() -> AsyncGenerator[EmbeddedServices]:
    """Run one Postgres and one Temporal for all tests."""
    with tempfile.TemporaryDirectory(prefix="pulse-tests-", ignore_cleanup_errors=True) as folder:
        async with embedded_services(folder, durable=False, ui=False) as services:
            yield services


@pytest.fixture(scope="session")
async def template(servers: EmbeddedServices) -> str:
    """Make the migrated database that every test's database is a copy of."""
    await run_sql(servers.dsn, f'CREATE DATABASE "{TEMPLATE}"')
    engine = create_engine(dsn_of(servers.dsn, TEMPLATE), servers.temporal_address)
    try:
        await engine.migrate()
    finally:
        await engine.stop()
    return TEMPLATE


@pytest.fixture
async def empty_database(servers: EmbeddedServices) -> AsyncGenerator[str]:
    """Yield the DSN of a database without tables."""
    name = f"pulse_empty_{next(_databases)}"
    await run_sql(servers.dsn, f'CREATE DATABASE "{name}"')
    yield dsn_of(servers.dsn, name)
    await run_sql(servers.dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def database(servers: EmbeddedServices, template: str) -> AsyncGenerator[str]:
    """Yield the DSN of a migrated database; afterwards its invariants must hold."""
    name = f"pulse_test_{next(_databases)}"
    await copy_template(servers.dsn, template, name=name)
    dsn = dsn_of(servers.dsn, name)
    async with checked_invariants(dsn):
        yield dsn
    await assert_nothing_left(servers.dsn, database=name)
    await run_sql(servers.dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def connection(database: str) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a connection to the test's database."""
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


@pytest.fixture
async def idle_pulse(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine that is not started."""
    made = make_pulse(database, servers.temporal_address)
    yield made
    await made.engine.stop()


@pytest.fixture
async def pulse(idle_pulse: PulseTest) -> PulseTest:
    """Return an engine that works."""
    await idle_pulse.engine.start()
    return idle_pulse


@pytest.fixture
def programs(tmp_path_factory: pytest.TempPathFactory) -> Generator[Programs]:
    """Yield the means to start programs; whoever is left afterwards is ended."""
    with Programs(tmp_path_factory.mktemp("programs")) as made:
        yield made


async def run_sql(dsn: str, text: str) -> None:
    """Run one statement on a connection of its own."""
    opened = await asyncpg.connect(dsn)
    try:
        await opened.execute(text)
    finally:
        await opened.close()


async def copy_template(dsn: str, template: str, *, name: str) -> None:
    """Make a database like the template; copying files takes half the time of logging them."""
    await run_sql(dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')


def dsn_of(dsn: str, name: str) -> str:
    """Return the DSN of another database of the same server."""
    return dsn.replace("/pulse?", f"/{name}?")
