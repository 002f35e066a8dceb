"""``engine.transaction()``: without an error all of it is committed, with one nothing is."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from pulse_temporal import (
    PostgresUnavailableError,
    TransactionEndedError,
    TransactionFailedError,
    TransactionInDoubtError,
)
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.postgres.failures import AWAY
from tests.conftest import run_sql
from tests.harness import SOURCE, TENANT, PulseTest

SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
Work = Callable[[Connection], Awaitable[object]]


async def emit_then(pulse: PulseTest, *works: Work) -> None:
    """Emit in a transaction, with other work after it."""
    async with pulse.engine.transaction() as connection:
        await pulse.engine.emit(SIGNAL, connection=connection)
        for work in works:
            await work(connection)


async def count(connection: asyncpg.Connection) -> tuple[int, int, int]:
    """Count signals, runs and commands, those that others have committed."""
    row = await connection.fetchrow(
        """SELECT (SELECT count(*) FROM pulse_triggers),
            (SELECT count(*) FROM pulse_workflow_runs),
            (SELECT count(*) FROM pulse_outbox)"""
    )
    assert row is not None
    return row[0], row[1], row[2]


async def swallow(connection: Connection) -> None:
    with contextlib.suppress(asyncpg.PostgresError):
        await connection.execute("SELECT * FROM no_such_statistics")


async def break_the_commit(connection: Connection) -> None:
    await connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY,"
        " paid_by int REFERENCES orders DEFERRABLE INITIALLY DEFERRED)"
    )
    await connection.execute("INSERT INTO orders VALUES (1, 2)")


async def test_a_swallowed_failure_is_no_success(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Postgres answers the commit with a rollback, and no error; the block must say it."""
    await pulse.define("order.paid")

    with pytest.raises(TransactionFailedError, match="earlier statement"):
        await emit_then(pulse, swallow)

    assert await count(connection) == (0, 0, 0)


async def test_a_swallowed_failure_is_noticed_without_an_emit(pulse: PulseTest) -> None:
    async def work() -> None:
        async with pulse.engine.transaction() as connection:
            await swallow(connection)

    with pytest.raises(TransactionFailedError, match="earlier statement"):
        await work()


async def test_a_failure_inside_of_a_savepoint_is_none(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    async def work(connection: Connection) -> None:
        with contextlib.suppress(asyncpg.PostgresError):
            async with connection.transaction():
                await connection.execute("SELECT * FROM no_such_statistics")

    await emit_then(pulse, work)

    (run,) = (await pulse.engine.list_runs()).items
    assert (await pulse.engine.wait_for_run(run.id)).status == "completed"


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
async def test_a_block_that_ends_its_transaction_is_told(pulse: PulseTest, end: str) -> None:
    pulse.signal("order.paid")

    with pytest.raises(TransactionEndedError, match="ended inside of its block"):
        await emit_then(pulse, lambda connection: connection.execute(end))


async def test_what_only_the_commit_checks_fails_the_block(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    with pytest.raises(TransactionFailedError, match="did not commit"):
        await emit_then(pulse, break_the_commit)

    assert await count(connection) == (0, 0, 0)


async def test_a_connection_that_is_gone_before_the_commit_is_no_doubt(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    async def cut(lent: Connection) -> None:
        await run_sql(pulse.dsn, f"SELECT pg_terminate_backend({lent.get_server_pid()})")
        with contextlib.suppress(*AWAY):
            await lent.execute("SELECT 1")

    with pytest.raises(PostgresUnavailableError) as raised:
        await emit_then(pulse, cut)

    assert not isinstance(raised.value, TransactionInDoubtError)
    assert await count(connection) == (0, 0, 0)


async def test_a_connection_that_breaks_during_the_commit_is_in_doubt(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """A deferred trigger ends its own server process, at the commit."""
    await pulse.define("order.paid")
    await connection.execute(
        """
        CREATE TABLE orders (id int);
        CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_terminate_backend(pg_backend_pid());
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION cut();
        """
    )

    with pytest.raises(TransactionInDoubtError, match="committed is not known") as raised:
        await emit_then(pulse, lambda lent: lent.execute("INSERT INTO orders VALUES (1)"))

    assert not raised.value.retryable


async def test_nothing_is_asked_after_the_commit(
    pulse: PulseTest, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could fail after the commit would look as if nothing were stored, and pay twice."""
    await pulse.define("order.paid")
    database = pulse.engine._parts.database  # pyright: ignore[reportPrivateUsage] - looks behind the door

    async def cut(_: Connection) -> None:
        monkeypatch.setattr(database, "session", _away)

    await emit_then(pulse, cut)
    monkeypatch.undo()

    assert (await count(connection))[:2] == (1, 1)
    (run,) = (await pulse.engine.list_runs()).items
    assert (await pulse.engine.wait_for_run(run.id)).status == "completed"


def _away() -> contextlib.AbstractAsyncContextManager[object]:
    raise PostgresUnavailableError("Postgres is away right after the commit")
