"""Roles, databases and pools with another default isolation: Pulse runs READ COMMITTED."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import asyncpg
import pytest

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.store.migrate import migrations
from pulse_temporal.testing import condition, delay, parallel
from tests.harness import SOURCE, TENANT, PulseTest, eventually, make_pulse

PAID = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
LEVELS = ["repeatable read", "serializable"]
NOTE_THE_LEVEL = """
CREATE TABLE seen (level text);
CREATE FUNCTION note_the_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (current_setting('transaction_isolation'));
    RETURN NULL;
END $$;
DO $$
DECLARE
    each text;
BEGIN
    FOR each IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'pulse\\_%' LOOP
        EXECUTE format(
            'CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION note_the_level()', each
        );
    END LOOP;
END $$;
"""


async def set_default(connection: asyncpg.Connection, name: str, value: str) -> None:
    """Give a setting a default for new connections to the test's database."""
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE \"{database}\" SET {name} = '{value}'")


async def use_everything(pulse: PulseTest) -> None:
    """Let runs with all kinds of steps begin, fail, be canceled and retried."""
    pulse.condition("is_due")
    pulse.action("work")
    pulse.action("flaky", fails=1)

    @pulse.engine.action("book", transactional=True)
    async def book(ctx: WorkflowContext) -> None:
        await ctx.connection.execute("SELECT 1")
        await ctx.emit({"source": SOURCE, "type": "order.booked"})

    pulse.signal("order.booked")
    await pulse.define("order.late", delay("wait", 60_000))
    await pulse.define("order.bad", "flaky")
    await pulse.define(
        "order.paid", condition("is_due"), parallel("both", ["work"], ["book"]), delay("wait", 10)
    )
    async with pulse.engine:
        run = await pulse.emit_and_wait("order.paid")
        assert run.status == "completed", run.error_message
        failed = await pulse.emit_and_wait("order.bad")
        await pulse.engine.retry_run(failed.id)
        assert (await pulse.engine.wait_for_run(failed.id)).status == "completed"
        (late,) = (await pulse.emit("order.late", idempotencyKey="late")).run_ids
        await pulse.engine.cancel_run(late)
        await pulse.engine.emit_many([PAID, PAID])
        async with pulse.engine.transaction() as connection:
            await pulse.engine.emit(PAID, connection=connection)


@pytest.mark.parametrize("level", LEVELS)
async def test_each_isolation_level_as_the_databases_default(
    idle_pulse: PulseTest, connection: asyncpg.Connection, level: str
) -> None:
    await set_default(connection, "default_transaction_isolation", level)
    await connection.execute(NOTE_THE_LEVEL)

    await use_everything(idle_pulse)

    seen = await connection.fetch("SELECT DISTINCT level FROM seen")
    assert [row["level"] for row in seen] == ["read committed"]


@pytest.mark.parametrize("level", LEVELS)
async def test_each_isolation_level_as_the_default_of_the_applications_pool(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection, level: str
) -> None:
    """Nothing is left behind on the pool's connections: the application keeps its level."""
    await connection.execute(NOTE_THE_LEVEL)
    settings = {"default_transaction_isolation": level}
    async with asyncpg.create_pool(
        database, min_size=0, max_size=5, server_settings=settings
    ) as pool:
        pulse = make_pulse(database, servers.temporal_address, pool=pool)

        await use_everything(pulse)

        kept = await asyncio.gather(
            *(pool.fetchval("SHOW transaction_isolation") for _ in range(5))
        )
    seen = await connection.fetch("SELECT DISTINCT level FROM seen")
    assert [row["level"] for row in seen] == ["read committed"]
    assert set(kept) == {level}


@pytest.mark.parametrize("level", LEVELS)
async def test_many_processes_migrate_at_once(
    servers: EmbeddedServices, empty_database: str, level: str
) -> None:
    name = urlsplit(empty_database).path.removeprefix("/")
    owner = await asyncpg.connect(empty_database)
    await owner.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
    await owner.close()
    engines = [make_pulse(empty_database, servers.temporal_address).engine for _ in range(6)]

    applied = await asyncio.gather(*(engine.migrate() for engine in engines))

    await asyncio.gather(*(engine.stop() for engine in engines))
    done = sorted(name for names in applied for name in names)
    assert done == [migration.name for migration in migrations()]


@pytest.fixture
async def changing_pool(database: str) -> AsyncGenerator[tuple[asyncpg.Pool, list[str]]]:
    """Yield a pool of the application, and what it runs on each connection before it is used."""
    before_use: list[str] = []

    async def prepare(connection: Connection) -> None:
        for text in before_use:
            await connection.execute(text)

    async with asyncpg.create_pool(database, min_size=0, max_size=3, setup=prepare) as pool:
        yield pool, before_use


async def test_a_statement_that_could_not_be_serialized_is_sent_again(
    servers: EmbeddedServices,
    database: str,
    connection: asyncpg.Connection,
    changing_pool: tuple[asyncpg.Pool, list[str]],
) -> None:
    """The pool's default became another one after the engine had looked at it."""
    pool, before_use = changing_pool
    pulse = make_pulse(database, servers.temporal_address, pool=pool)
    pulse.signal("order.paid")
    await pulse.engine.list_runs()
    before_use.append("SET default_transaction_isolation = 'repeatable read'")
    transaction = connection.transaction()
    await transaction.start()
    signal = {**PAID, "idempotencyKey": "k"}
    first = await pulse.engine.emit(signal, connection=connection)
    emitting = asyncio.ensure_future(pulse.engine.emit(signal))
    await waits_for_a_lock(connection)
    await transaction.commit()

    again = await emitting

    assert (again.id, again.duplicate) == (first.id, True)
    await pulse.engine.stop()


async def waits_for_a_lock(connection: asyncpg.Connection) -> None:
    """Return when somebody waits for a lock."""

    async def look() -> int:
        return await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")

    await eventually(look)


async def test_a_cancel_that_loses_a_deadlock_is_repeated(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Somebody else locks in another order, such as an application's own clean-up."""
    await set_default(connection, "deadlock_timeout", "3s")
    await connection.execute("SET deadlock_timeout = '60s'")  # so that Pulse is the one undone
    await idle_pulse.define("order.late", delay("wait", 60_000))
    (run_id,) = (await idle_pulse.emit("order.late")).run_ids
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT FROM pulse_workflow_runs WHERE id = $1 FOR UPDATE", run_id)
    canceling = asyncio.ensure_future(idle_pulse.engine.cancel_run(run_id))
    await waits_for_a_lock(connection)

    await connection.execute("SELECT FROM pulse_run_control WHERE run_id = $1 FOR UPDATE", run_id)
    await transaction.commit()

    assert (await canceling).status == "canceled"


async def test_settings_of_a_role_that_bound_its_statements_do_not_stop_a_migration(
    servers: EmbeddedServices, empty_database: str
) -> None:
    """Another process migrates meanwhile, and takes longer than the role's statements may."""
    name = urlsplit(empty_database).path.removeprefix("/")
    owner = await asyncpg.connect(empty_database)
    await owner.execute(f"ALTER DATABASE \"{name}\" SET lock_timeout = '1ms'")
    await owner.execute("BEGIN")
    await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended('pulse_migrations', 0))")
    engine = make_pulse(empty_database, servers.temporal_address).engine
    migrating = asyncio.ensure_future(engine.migrate())
    await waits_for_a_lock(owner)
    await owner.execute("COMMIT")

    assert await migrating
    await owner.close()
    await engine.stop()
