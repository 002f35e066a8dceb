"""Which connections a signal joins: in a transaction, of asyncpg; all others are told the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import cast, func, literal, select, text
from sqlalchemy import create_engine as sync_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pulse_temporal import ConfigurationError, TriggerEnvelope
from tests.harness import SOURCE, TENANT, PulseTest

SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}


async def joined(pulse: PulseTest, connection: object) -> TriggerEnvelope:
    return await pulse.engine.emit(SIGNAL, connection=connection)  # pyright: ignore[reportArgumentType] - whatever users pass


def alchemy(dsn: str, driver: str) -> str:
    return dsn.replace("postgresql://", f"postgresql+{driver}://")


@asynccontextmanager
async def async_session(dsn: str) -> AsyncGenerator[AsyncSession]:
    engine = create_async_engine(alchemy(dsn, "asyncpg"))
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


async def driver_connection(connection: AsyncConnection) -> object:
    return (await connection.get_raw_connection()).driver_connection


async def test_a_connection_in_no_transaction_is_refused(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    with pytest.raises(ConfigurationError, match=r"async with connection\.transaction\(\)"):
        await pulse.engine.emit(SIGNAL, connection=connection)
    with pytest.raises(ConfigurationError, match="in no transaction"):
        await pulse.engine.emit_many([SIGNAL], connection=connection)
    with pytest.raises(ConfigurationError, match="in no transaction"):
        await pulse.engine.emit_many([], connection=connection)

    assert await connection.fetchval("SELECT count(*) FROM pulse_triggers") == 0


async def test_a_transaction_that_has_ended_is_none(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pulse.signal("order.paid")

    async with connection.transaction():
        await joined(pulse, connection)
    with pytest.raises(ConfigurationError, match="in no transaction"):
        await joined(pulse, connection)


async def test_a_transaction_that_was_begun_in_sql_will_do(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await pulse.define("order.paid")

    await connection.execute("BEGIN")
    kept = await joined(pulse, connection)
    with pytest.raises(Exception, match="not registered"):
        await pulse.engine.emit({**SIGNAL, "type": "order.piad"}, connection=connection)
    await connection.execute("COMMIT")

    assert (await pulse.engine.wait_for_run(kept.run_ids[0])).status == "completed"


async def test_a_connection_that_is_back_in_its_pool_is_refused(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    async with asyncpg.create_pool(pulse.dsn, min_size=1, max_size=1) as pool:
        async with pool.acquire() as borrowed:
            pass
        with pytest.raises(ConfigurationError, match="given back to its pool"):
            await joined(pulse, borrowed)


async def test_sqlalchemy_on_asyncpg_joins_once_it_has_begun(pulse: PulseTest) -> None:
    await pulse.define("order.paid")
    async with async_session(pulse.dsn) as session:
        early = await driver_connection(await session.connection())
        with pytest.raises(ConfigurationError, match="flush the session"):
            await joined(pulse, early)

        await session.execute(text("CREATE TABLE orders (id int)"))
        undone = await joined(pulse, await driver_connection(await session.connection()))
        await session.rollback()

        await session.execute(text("CREATE TABLE orders (id int)"))
        kept = await joined(pulse, await driver_connection(await session.connection()))
        await session.commit()

    assert await pulse.engine.get_trigger(undone.id) is None
    assert (await pulse.engine.wait_for_run(kept.run_ids[0])).status == "completed"


async def test_objects_that_are_no_connection_of_asyncpg_are_told_the_way(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pulse.signal("order.paid")
    alchemists = create_async_engine(alchemy(pulse.dsn, "asyncpg"))
    sync = sync_engine(alchemy(pulse.dsn, "psycopg"))
    way = r"Pass connection=.*\.driver_connection, after the first statement"
    sql = r"execute SELECT pulse_emit\("
    async with (
        asyncpg.create_pool(pulse.dsn, min_size=0, max_size=1) as pool,
        async_session(pulse.dsn) as session,
        alchemists.connect() as alchemist,
        await psycopg.AsyncConnection.connect(pulse.dsn) as async_psycopg,
    ):
        with Session(sync) as sync_session, psycopg.connect(pulse.dsn) as sync_psycopg:
            raw = await alchemist.get_raw_connection()
            objects: list[tuple[object, str]] = [
                (pool, r"not asyncpg's Pool\. Pass async with pool\.acquire\(\)"),
                (pool.acquire(), r"pool\.acquire\(\)"),
                (connection.transaction(), "the connection that the transaction is on"),
                (session, rf"sqlalchemy's AsyncSession\. {way}"),
                (alchemist, rf"sqlalchemy's AsyncConnection\. {way}"),
                (alchemists, "a session or connection of it"),
                (raw, "Pass its driver_connection"),
                (raw.dbapi_connection, "Pass its driver_connection"),
                (sync_session, sql),
                (sync_session.connection(), sql),
                (sync, sql),
                (async_psycopg, rf"psycopg's AsyncConnection.*{sql}"),
                (sync_psycopg, rf"psycopg's Connection.*{sql}"),
                (pulse.dsn, r"not a DSN"),
                (object(), r"what asyncpg\.connect\(\) or engine\.transaction\(\) gives"),
            ]
            for given, reason in objects:
                with pytest.raises(ConfigurationError, match=reason) as refused:
                    await joined(pulse, given)
                assert pulse.dsn not in str(refused.value)
    await alchemists.dispose()
    sync.dispose()


async def test_the_blocking_engine_names_sql(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    pulse.signal("order.paid")
    blocking = pulse.engine.blocking
    for given in (connection, pulse.dsn):
        for emit in (
            lambda given=given: blocking.emit(SIGNAL, connection=given),  # pyright: ignore[reportArgumentType] - whatever users pass
            lambda given=given: blocking.emit_many([SIGNAL], connection=given),  # pyright: ignore[reportArgumentType] - whatever users pass
        ):
            with pytest.raises(ConfigurationError, match=r"SELECT pulse_emit\("):
                await asyncio.to_thread(emit)


async def test_sqlalchemy_on_psycopg_emits_with_sql(pulse: PulseTest) -> None:
    await pulse.define("order.paid")

    def work() -> tuple[str | None, str | None]:
        engine = sync_engine(alchemy(pulse.dsn, "psycopg"))
        emit = select(
            func.pulse_emit(
                TENANT, SOURCE, "order.paid", cast(literal({"order": 1}, JSONB), JSONB)
            )
        )
        with Session(engine) as session:
            undone = session.scalar(emit)
            session.rollback()
        with Session(engine) as session, session.begin():
            kept = session.scalar(emit)
        engine.dispose()
        return undone, kept

    undone, kept = await asyncio.to_thread(work)

    assert undone is not None
    assert await pulse.engine.get_trigger(undone) is None
    assert kept is not None
    trigger = await pulse.engine.get_trigger(kept)
    assert trigger is not None
    assert trigger.payload == {"order": 1}
    assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"


async def test_psycopg_emits_with_sql(pulse: PulseTest) -> None:
    await pulse.define("order.paid")
    emit = "SELECT pulse_emit(%s, %s, %s, %s, idempotency_key => %s)"

    async with await psycopg.AsyncConnection.connect(pulse.dsn) as connection:
        ids: list[str] = []
        for _ in range(2):
            cursor = await connection.execute(
                emit, (TENANT, SOURCE, "order.paid", Jsonb({"order": 1}), "k")
            )
            ids += [row[0] for row in await cursor.fetchall()]

    trigger = await pulse.engine.get_trigger(ids[0])
    assert trigger is not None
    assert ids == [trigger.id, trigger.id]
    assert (await pulse.engine.wait_for_run(trigger.run_ids[0])).status == "completed"
