"""``migrate()`` makes the function ``pulse_emit`` and keeps it as its statement is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import asyncpg
import pytest

from pulse_temporal import Engine, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.store import emit_function
from pulse_temporal.store.migrate import migrations
from pulse_temporal.store.statements import statements
from tests.conftest import run_sql
from tests.harness import SOURCE, TENANT

DEFINITION = "SELECT pg_get_functiondef('{}'::regproc) AS text"
COMMENT = "SELECT obj_description('{}'::regproc, 'pg_proc') AS text"


@pytest.fixture
async def empty(empty_database: str) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a connection to a database without tables."""
    opened = await asyncpg.connect(empty_database)
    yield opened
    await opened.close()


async def migrate(dsn: str, servers: EmbeddedServices, **options: str) -> list[str]:
    engine = create_engine(
        dsn,
        servers.temporal_address,
        table_prefix=options.get("prefix", "pulse_"),
        queue_prefix=options.get("queue", "pulse"),
    )
    try:
        return await engine.migrate()
    finally:
        await engine.stop()


async def test_the_emit_function_has_the_tables_prefix_and_schema(
    servers: EmbeddedServices, empty_database: str
) -> None:
    """Beside others of the same name, and found by no path but its name."""
    name = urlsplit(empty_database).path.removeprefix("/")
    quoted = '"S p""ace"'
    await run_sql(empty_database, f"CREATE SCHEMA {quoted}")
    await run_sql(
        empty_database,
        f"ALTER DATABASE {name} SET search_path = {quoted}",
    )
    await migrate(empty_database, servers, prefix="acme_", queue="ours")
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute("SET search_path = public")
        emit = f"SELECT {quoted}.acme_emit($1, $2, $3)"
        trigger_id = await connection.fetchval(emit, TENANT, SOURCE, "order.paid")
        count = f"SELECT count(*) FROM {quoted}.acme_triggers WHERE id = $1"  # noqa: S608 - a name of this test
        stored = await connection.fetchval(count, trigger_id)
    finally:
        await connection.close()
    assert stored == 1


async def test_the_emit_function_ignores_the_callers_search_path(
    connection: asyncpg.Connection,
) -> None:
    """Functions and tables of the same names, made by whoever may create them."""
    await connection.execute(
        """
        CREATE SCHEMA trap;
        CREATE TABLE trap.pulse_triggers (id text);
        CREATE FUNCTION trap.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 1/0';
        CREATE FUNCTION trap.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS 'SELECT (1/0)::text';
        SET search_path = trap, pg_catalog;
        """
    )

    trigger_id = await connection.fetchval(
        "SELECT public.pulse_emit($1, $2, $3)", TENANT, SOURCE, "order.paid"
    )

    assert await connection.fetchval("SELECT id FROM public.pulse_triggers") == trigger_id


async def test_processes_that_migrate_at_once_make_it_once(
    servers: EmbeddedServices, empty_database: str, empty: asyncpg.Connection
) -> None:
    await asyncio.gather(*(migrate(empty_database, servers) for _ in range(5)))

    made = await empty.fetch("SELECT xmin::text FROM pg_proc WHERE proname = 'pulse_emit'")
    await migrate(empty_database, servers)
    again = await empty.fetch("SELECT xmin::text FROM pg_proc WHERE proname = 'pulse_emit'")

    assert len(made) == 1
    assert again == made, "what is as it should be is not written again"


async def test_a_changed_statement_makes_it_anew_and_keeps_grants(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    """The comment of a function of an older release, or of nobody, is another one."""
    newest = await connection.fetchval(DEFINITION.format("pulse_emit"))
    older = newest.replace("The signal is refused", "No")
    for comment in (f"migration 1, sha256 {'0' * 64}", "by hand", ""):
        await connection.execute(older)
        await connection.execute(f"COMMENT ON FUNCTION pulse_emit IS '{comment}'")
        await connection.execute("REVOKE EXECUTE ON FUNCTION pulse_emit FROM PUBLIC")

        await migrate(database, servers)

        assert await connection.fetchval(DEFINITION.format("pulse_emit")) == newest
        public = "SELECT has_function_privilege('pg_monitor', 'pulse_emit'::regproc, 'EXECUTE')"
        assert not await connection.fetchval(public)


async def test_an_older_release_leaves_a_newer_ones_function_alone(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    newer = f"migration {migrations()[-1].version + 1}, sha256 {'0' * 64}"
    await connection.execute(f"COMMENT ON FUNCTION pulse_emit IS '{newer}'")

    await migrate(database, servers)

    assert await connection.fetchval(COMMENT.format("pulse_emit")) == newer


async def test_without_workers_the_migrating_engines_queue_has_the_runs(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    await migrate(database, servers, queue="ours")
    engine: Engine = create_engine(database, servers.temporal_address)
    engine.register_trigger("order.paid", source=SOURCE)
    await engine.create_workflow(
        {"tenantId": TENANT, "name": "a", "triggerType": "order.paid", "steps": []}
    )
    await engine.stop()

    await connection.fetchval("SELECT pulse_emit($1, $2, $3)", TENANT, SOURCE, "order.paid")

    assert await connection.fetchval("SELECT task_queue FROM pulse_outbox") == "ours"


async def test_among_several_queues_with_workers_one_must_be_named(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute(
        "INSERT INTO pulse_workers (id, task_queue, actions, conditions)"
        " VALUES ('a', 'one', '{}', '{}'), ('b', 'two', '{}', '{}')"
    )

    with pytest.raises(asyncpg.PostgresError, match="queue must be one of one, two") as refused:
        await connection.fetchval("SELECT pulse_emit($1, $2, $3)", TENANT, SOURCE, "order.paid")

    assert refused.value.sqlstate == "PU001"


async def test_the_rights_are_the_callers(connection: asyncpg.Connection) -> None:
    await connection.execute("DROP ROLE IF EXISTS pulse_stranger; CREATE ROLE pulse_stranger")
    try:
        await connection.execute("SET ROLE pulse_stranger")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="pulse_"):
            await connection.fetchval(
                "SELECT pulse_emit($1, $2, $3)", TENANT, SOURCE, "order.paid"
            )
    finally:
        await connection.execute("RESET ROLE")
        await connection.execute("DROP ROLE pulse_stranger")


def test_the_function_holds_the_statement_of_the_engine() -> None:
    text = emit_function.emit_function(prefix="acme_", schema="app")

    statement = statements(prefix="acme_", schema="app")["triggers.emit_signal"].text
    assert statement.rstrip(";") in text
    assert "pulse_" not in text.replace("-- statement", "")
