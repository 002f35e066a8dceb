"""``migrate()`` makes the tables: once, whoever asks, how often, and under which prefix."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg
import pytest

from pulse_temporal import Engine, MigrationError, SchemaError, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.store.migrate import migrations
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

ALL = [migration.name for migration in migrations()]
SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
DEFINITION: dict[str, object] = {
    "tenantId": TENANT,
    "name": "x",
    "triggerType": "order.paid",
    "steps": [],
}

Call = Callable[[Engine], Awaitable[object]]
CALLS: dict[str, Call] = {
    "start": lambda engine: engine.start(),
    "emit": lambda engine: engine.emit(SIGNAL),
    "create_workflow": lambda engine: engine.create_workflow(DEFINITION),
    "get_run": lambda engine: engine.get_run("run_x"),
}


async def relations(dsn: str) -> set[str]:
    """Name every table, index and sequence of a database."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
    finally:
        await connection.close()
    return {row["relname"] for row in rows}


@pytest.fixture
def unmigrated(servers: EmbeddedServices, empty_database: str) -> PulseTest:
    """Return an engine on a database without tables."""
    made = make_pulse(empty_database, servers.temporal_address)
    made.signal("order.paid")
    return made


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_without_tables_every_call_names_migrate(unmigrated: PulseTest, call: Call) -> None:
    with pytest.raises(SchemaError, match=r"engine\.migrate\(\) \(pulse migrate\)"):
        await call(unmigrated.engine)

    await unmigrated.engine.stop()


async def test_after_migrate_the_same_engine_works(unmigrated: PulseTest) -> None:
    with pytest.raises(SchemaError):
        await unmigrated.engine.emit(SIGNAL)

    await unmigrated.engine.migrate()
    await unmigrated.define("order.paid")
    await unmigrated.engine.start()
    run = await unmigrated.emit_and_wait("order.paid")
    await unmigrated.engine.stop()

    assert run.status == "completed"


async def test_the_first_migrate_tells_what_it_did_and_the_second_does_nothing(
    unmigrated: PulseTest,
) -> None:
    first = await unmigrated.engine.migrate()
    after_first = await relations(unmigrated.dsn)
    second = await unmigrated.engine.migrate()
    await unmigrated.engine.stop()

    assert (first, second) == (ALL, [])
    assert await relations(unmigrated.dsn) == after_first


async def test_migrate_keeps_what_is_stored(unmigrated: PulseTest) -> None:
    await unmigrated.engine.migrate()
    definition = await unmigrated.define("order.paid")
    trigger = await unmigrated.emit("order.paid")

    await unmigrated.engine.migrate()

    assert await unmigrated.engine.get_workflow(definition.id) == definition
    assert await unmigrated.engine.get_trigger(trigger.id) == trigger
    await unmigrated.engine.stop()


async def test_of_eight_engines_at_once_one_migrates(
    servers: EmbeddedServices, empty_database: str
) -> None:
    engines = [create_engine(empty_database, servers.temporal_address) for _ in range(8)]

    applied = await asyncio.gather(*(engine.migrate() for engine in engines))
    for engine in engines:
        await engine.stop()

    assert sorted(name for names in applied for name in names) == ALL


PROGRAM = """
import asyncio, sys
from pulse_temporal import create_engine

async def main():
    engine = create_engine(sys.argv[1])
    print(len(await engine.migrate()))
    await engine.stop()

asyncio.run(main())
"""


async def test_of_four_processes_at_once_one_migrates(empty_database: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, empty_database, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]

    outputs = [await process.communicate() for process in processes]

    assert {process.returncode for process in processes} == {0}
    assert sum(int(out) for out, _ in outputs) == len(ALL)


async def test_a_migrate_that_was_interrupted_can_be_repeated(
    unmigrated: PulseTest,
) -> None:
    """Each migration is one transaction: nothing of it stays behind."""
    connection = await asyncpg.connect(unmigrated.dsn)
    await connection.execute("CREATE TABLE pulse_outbox (id int)")  # in the way of ours

    with pytest.raises(asyncpg.DuplicateTableError):
        await unmigrated.engine.migrate()
    left = await relations(unmigrated.dsn)
    await connection.execute("DROP TABLE pulse_outbox")
    applied = await unmigrated.engine.migrate()
    await connection.close()
    await unmigrated.engine.stop()

    assert left == {"pulse_outbox"}
    assert applied == ALL


async def test_a_database_of_a_newer_release_is_refused(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO pulse_migrations (version, name, checksum) VALUES (9999, '9999_post_x', 'x')"
    )

    with pytest.raises(MigrationError, match=r"9999_post_x.*newer release"):
        await idle_pulse.engine.migrate()


async def test_a_database_to_which_a_newer_release_has_only_added_will_do(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """While that release is rolled out, processes of this one may start again."""
    await connection.execute(
        "INSERT INTO pulse_migrations (version, name, checksum) VALUES (9999, '9999_pre_new', 'x')"
    )

    assert await idle_pulse.engine.migrate() == []


async def test_a_migration_that_was_changed_is_refused(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE pulse_migrations SET checksum = 'x' WHERE version = 1")

    with pytest.raises(MigrationError, match=f"'{ALL[0]}' was applied with other content"):
        await idle_pulse.engine.migrate()


async def test_all_names_follow_the_table_prefix(
    servers: EmbeddedServices, empty_database: str
) -> None:
    engine = create_engine(empty_database, servers.temporal_address, table_prefix="acme_")

    await engine.migrate()
    await engine.stop()

    assert {name.partition("_")[0] for name in await relations(empty_database)} == {"acme"}


async def test_engines_with_different_prefixes_share_a_database_and_nothing_else(
    servers: EmbeddedServices, empty_database: str
) -> None:
    engines = [
        create_engine(
            empty_database,
            servers.temporal_address,
            table_prefix=prefix,
            queue_prefix=f"{urlsplit(empty_database).path[1:]}-{prefix}-{os.getpid()}",
        )
        for prefix in ("one_", "two_")
    ]
    pulses = [
        PulseTest(engine, dsn=empty_database, temporal_address=servers.temporal_address)
        for engine in engines
    ]
    calls = [pulse.action("pay") for pulse in pulses]
    for pulse in pulses:
        await pulse.engine.migrate()
        await pulse.engine.start()
        await pulse.define("order.paid", "pay")

    run = await pulses[0].emit_and_wait("order.paid")

    assert run.status == "completed"
    assert [probe.call_count for probe in calls] == [1, 0]
    assert await pulses[1].engine.get_run(run.id) is None
    assert (await pulses[1].engine.list_runs()).items == ()
    for pulse in pulses:
        await pulse.engine.stop()
