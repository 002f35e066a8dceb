"""Postgres lives and cannot: no connection, no room, a changed table. Which error says so."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.errors import EmitBusyError, PostgresUnavailableError
from tests.faults.load import Load
from tests.faults.own_postgres import OwnPostgres, own_postgres, short_folder, working_on
from tests.harness import PulseTest, eventually, make_pulse

pytestmark = pytest.mark.faults

FEW = 12
ROOM = "size=150m"
EXPECTED = {PostgresUnavailableError, EmitBusyError}
BOUND_SECONDS = 10.0
FILL = "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 4000)"


async def test_an_exhausted_pool_says_so(servers: EmbeddedServices, database: str) -> None:
    """Also under an idempotency key, which is not what the emit waits for."""
    async with asyncpg.create_pool(database, min_size=0, max_size=2) as pool:
        pulse = make_pulse(database, servers.temporal_address, pool=pool)
        pulse.signal("order.paid")
        async with pool.acquire(), pool.acquire():
            for key in (None, "order-1"):
                async with asyncio.timeout(BOUND_SECONDS):
                    with pytest.raises(PostgresUnavailableError, match="All 2 connections"):
                        await pulse.emit("order.paid", idempotency_key=key)
        trigger = await pulse.emit("order.paid", idempotency_key="order-1")
        await pulse.engine.stop()

    assert not trigger.duplicate


@pytest.fixture
async def narrow() -> AsyncGenerator[OwnPostgres]:
    """Run a Postgres that takes a dozen clients."""
    async with own_postgres(max_connections=FEW) as made:
        yield made


async def test_no_connection_is_left(servers: EmbeddedServices, narrow: OwnPostgres) -> None:
    """Postgres turns clients away (53300): it is away for them, until others leave."""
    async with working_on(narrow, narrow.dsn, servers) as pulse:
        async with Load(pulse) as load:
            await load.goes_on()
            async with AsyncExitStack() as others:

                async def someone_comes() -> bool:
                    """Connect once more; true when there is no room."""
                    try:
                        other = await asyncpg.connect(narrow.server.dsn)
                    except asyncpg.TooManyConnectionsError:
                        return True
                    others.push_async_callback(other.close)
                    return False

                await eventually(someone_comes)
                answers = await asyncio.gather(
                    # With keys, so that they share no statement and want a connection each.
                    *(pulse.emit("fault.met", idempotency_key=f"{n}") for n in range(FEW)),
                    return_exceptions=True,
                )
            await load.goes_on()
        errors = [answer for answer in answers if isinstance(answer, BaseException)]

        assert {type(error) for error in errors} == {PostgresUnavailableError}
        assert asyncpg.TooManyConnectionsError in {type(error.__cause__) for error in errors}
        assert {type(error) for error in load.errors} <= EXPECTED
        await load.check()


@pytest.fixture
def small_disk() -> Generator[Path]:
    """Mount a folder with little room."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    with short_folder() as folder:
        command = [mount, "-t", "tmpfs", "-o", f"{ROOM},mode=755", "pulse", str(folder)]
        made = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a system program
        if made.returncode != 0:
            pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 - a system program


def fill(folder: Path) -> Path:
    """Take all the room that is left and give the file that holds it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 65_536):
                pass
        except OSError:
            return ballast
    raise AssertionError("unreachable: the disk is small")


async def test_a_full_disk(servers: EmbeddedServices, small_disk: Path) -> None:
    """Writes fail (53100), Postgres may end; what was accepted is there when it has room again."""
    async with AsyncExitStack() as stack:
        postgres = OwnPostgres(small_disk, stack, durable=True)
        await postgres.start()
        async with working_on(postgres, postgres.dsn, servers) as pulse:
            async with Load(pulse) as load:
                await load.goes_on()
                ballast = fill(small_disk)
                await eventually(lambda: is_full(postgres))
                await load.fails()
                ballast.unlink()
                await make_it_run(postgres)
                await postgres.execute("DROP TABLE IF EXISTS filler")
                await load.goes_on()

            assert {type(error) for error in load.errors} <= EXPECTED
            await load.check()


async def is_full(postgres: OwnPostgres) -> bool:
    """Write until it fails; what Pulse writes alone would take a while."""
    try:
        await postgres.execute("CREATE TABLE IF NOT EXISTS filler (line text)", FILL)
    except (OSError, asyncpg.PostgresError):
        return True
    return False


async def make_it_run(postgres: OwnPostgres) -> None:
    """Start the server if it has ended, as one without room for its log does."""
    try:
        await postgres.execute("SELECT 1")
    except (OSError, asyncpg.PostgresError):
        await postgres.revive()


async def test_tables_change_under_live_connections(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    """New columns trouble nobody; a new type costs a transaction, which is done again."""
    pulse: PulseTest = make_pulse(database, servers.temporal_address)
    async with pulse.engine:
        async with Load(pulse) as load:
            await load.goes_on()
            for number, table in enumerate(TABLES):
                await connection.execute(f"ALTER TABLE {table} ADD COLUMN new_{number} text")
            await load.goes_on()
            for type_ in ("varchar", "text", "varchar", "text"):
                for table, column in RESULTS:
                    await connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE {type_}")
                await load.goes_on()

        assert {type(error) for error in load.errors} <= EXPECTED
        await load.check()


TABLES = ("pulse_triggers", "pulse_workflow_runs", "pulse_workflow_step_runs", "pulse_outbox")
RESULTS = [
    ("pulse_triggers", "idempotency_key"),
    ("pulse_workflow_runs", "error_message"),
    ("pulse_workflow_step_runs", "handler"),
    ("pulse_workflow_step_runs", "error_message"),
    ("pulse_step_attempts", "status"),
    ("pulse_workflow_runs", "cancel_reason"),
    ("pulse_workflow_definitions", "name"),
]
"""Columns that prepared statements give: their plans are void when the type changes."""
