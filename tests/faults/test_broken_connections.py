"""A connection to Postgres breaks, or half of it does: callers get a typed error, or their own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices, PostgresServer, embedded_postgres
from pulse_temporal.errors import PostgresUnavailableError
from tests.harness import PulseTest, eventually, make_pulse
from tests.proxy import TcpProxy

pytestmark = pytest.mark.faults


HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NULL;
END $$;
CREATE TRIGGER hold AFTER INSERT ON pulse_triggers EXECUTE FUNCTION hold();
"""
CUT = """
CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON pulse_triggers DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION cut();
"""
HELD = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


class ChangedMindError(Exception):
    """The application's reason to roll back."""


async def test_a_broken_transaction_raises_what_the_application_raised(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """The pool takes a connection back when it breaks; there is nothing left to roll back."""

    async def change_mind() -> None:
        async with idle_pulse.engine.transaction() as lent:
            pid = lent.get_server_pid()
            await connection.execute("SELECT pg_terminate_backend($1)", pid)

            async def is_taken_back() -> bool:
                try:
                    return lent.is_closed()
                except asyncpg.InterfaceError:
                    return True

            await eventually(is_taken_back)
            raise ChangedMindError

    with pytest.raises(ChangedMindError):
        await change_mind()


@pytest.fixture
async def tcp_postgres() -> AsyncGenerator[PostgresServer]:
    """Run a Postgres that listens on TCP."""
    with tempfile.TemporaryDirectory(prefix="pulse-", ignore_cleanup_errors=True) as folder:
        async with embedded_postgres(folder, durable=False, port=0) as server:
            yield server


async def test_an_end_that_is_announced_and_does_not_come_is_noticed(
    tcp_postgres: PostgresServer, servers: EmbeddedServices
) -> None:
    """Postgres ends an idle connection and says so; the end itself is lost on the way."""
    dsn = tcp_postgres.tcp_dsn or ""
    port = dsn.partition("@127.0.0.1:")[2].partition("/")[0]
    watcher = await asyncpg.connect(tcp_postgres.dsn)
    async with TcpProxy(int(port)) as proxy:
        proxied = dsn.replace(f":{port}/", f":{proxy.port}/")
        pulse = make_pulse(proxied, servers.temporal_address)
        await pulse.engine.migrate()
        await proxy.become("no ends")
        before = proxy.answer_bytes
        await watcher.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        )

        async def is_announced() -> bool:
            return proxy.answer_bytes > before

        await eventually(is_announced)
        await watcher.fetchval("SELECT 1")  # meanwhile the client has read it
        with pytest.raises(PostgresUnavailableError):
            await pulse.engine.get_run("run_1")
        assert await pulse.engine.get_run("run_1") is None
        await pulse.engine.stop()
    await watcher.close()


async def test_signals_that_share_a_statement_whose_answer_is_lost_are_stored_once(
    tcp_postgres: PostgresServer, servers: EmbeddedServices
) -> None:
    """Postgres commits, and the connection breaks: each tenant's signals are stored again."""
    dsn = tcp_postgres.tcp_dsn or ""
    port = dsn.partition("@127.0.0.1:")[2].partition("/")[0]
    watcher = await asyncpg.connect(tcp_postgres.dsn)
    patience = timedelta(seconds=40)  # a shared statement has a quarter of it
    tenants = [f"tenant-{number % 3}" for number in range(30)]
    async with TcpProxy(int(port)) as proxy:
        behind = dsn.replace(f":{port}/", f":{proxy.port}/")
        pulse = make_pulse(behind, servers.temporal_address, postgres_timeout=patience)
        await pulse.engine.migrate()
        for tenant_id in sorted(set(tenants)):
            await pulse.define("order.paid", tenant_id=tenant_id)
        await watcher.execute(HOLD)
        await watcher.execute("SELECT pg_advisory_lock(1)")
        emits = asyncio.gather(*(pulse.emit("order.paid", tenant_id=each) for each in tenants))
        await eventually(lambda: watcher.fetchval(HELD))
        await proxy.become("no replies")
        await watcher.execute("SELECT pg_advisory_unlock(1)")
        await eventually(lambda: watcher.fetchval("SELECT count(*) FROM pulse_triggers"))
        proxy.cut()
        await proxy.become("pass")
        stored = await emits
        await pulse.engine.stop()

    rows = await watcher.fetch("SELECT id, trigger_id FROM pulse_workflow_runs")
    await watcher.close()
    assert [each.tenant_id for each in stored] == tenants
    assert sorted((run_id, each.id) for each in stored for run_id in each.run_ids) == sorted(
        (row["id"], row["trigger_id"]) for row in rows
    )
    assert len(rows) == len(tenants)


@pytest.mark.parametrize(
    ("key", "advice"), [(None, "may store it twice"), ("order-1", "it is stored once")]
)
async def test_an_emit_whose_connection_breaks_says_what_is_not_known(
    idle_pulse: PulseTest, connection: asyncpg.Connection, key: str | None, advice: str
) -> None:
    """A deferred trigger ends its own server process, at the commit."""
    await idle_pulse.define("order.paid")
    await connection.execute(CUT)

    with pytest.raises(PostgresUnavailableError, match="stored is not known") as raised:
        await idle_pulse.emit("order.paid", idempotencyKey=key)

    assert advice in str(raised.value)
