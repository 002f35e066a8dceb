"""Join a transaction of the application: on which connections, and so that it stays usable."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from pulse_temporal.errors import ConfigurationError
from pulse_temporal.postgres.failures import AWAY, typed_errors
from pulse_temporal.postgres.sessions import Session

DRIVER_CONNECTION = (
    "connection=(await (await {name}.connection()).get_raw_connection()).driver_connection, after "
    "the first statement of the transaction"
)
WAYS = {
    ("sqlalchemy.ext.asyncio", "AsyncConnection"): (
        "connection=(await connection.get_raw_connection()).driver_connection, after the first "
        "statement of the transaction"
    ),
    ("sqlalchemy.ext.asyncio", "AsyncSession"): DRIVER_CONNECTION.format(name="session"),
    ("sqlalchemy.ext.asyncio", "async_scoped_session"): DRIVER_CONNECTION.format(name="session"),
    ("sqlalchemy.ext.asyncio", ""): "a session or connection of it, in a transaction",
    ("sqlalchemy.dialects.postgresql", ""): "its driver_connection",
    ("sqlalchemy.pool", ""): "its driver_connection",
    ("asyncpg.pool", ""): (
        "async with pool.acquire() as connection, connection.transaction(): and that connection"
    ),
    ("asyncpg.transaction", ""): "the connection that the transaction is on",
    ("builtins", "str"): (
        "async with engine.transaction() as connection: and that connection, not a DSN"
    ),
}
"""By module and class of what was passed; a class may be any one of its module."""

SQL_DRIVERS = ("sqlalchemy", "django", "psycopg", "psycopg2", "psycopg_pool", "pg8000")
"""Packages whose connections speak SQL, but are none of asyncpg."""


def check_joinable(connection: object, *, prefix: str) -> None:
    """Refuse what is no connection of asyncpg in a transaction.

    Args:
        connection: What the application passed.
        prefix: What names of tables and functions begin with.

    Raises:
        ConfigurationError: It is something else, or is in no transaction, so that the signal
            would stay when the application rolls back.
    """
    if not isinstance(connection, asyncpg.Connection | PoolConnectionProxy):
        raise ConfigurationError(
            f"connection must be a connection of asyncpg that is in a transaction, not "
            f"{_kind(connection)}. Pass {way(connection, prefix=prefix)}."
        )
    try:
        is_closed, begun = connection.is_closed(), connection.is_in_transaction()
    except asyncpg.InterfaceError as error:
        raise ConfigurationError(
            "connection was given back to its pool before the emit. Emit inside of "
            "async with pool.acquire() as connection."
        ) from error
    if not (is_closed or begun):
        raise ConfigurationError(
            "connection is in no transaction, so the signal could not be undone with your work. "
            "Begin one: async with connection.transaction(). SQLAlchemy begins with the first "
            "statement: flush the session, or execute a statement, before the emit. Without a "
            "transaction of your own, emit without connection."
        )


@asynccontextmanager
async def savepoint(session: Session) -> AsyncGenerator[None]:
    """Undo what the block has done when it fails, and nothing else of the caller's transaction.

    In plain SQL, because asyncpg makes no savepoint in a transaction that was begun in SQL.

    Raises:
        TransactionFailedError: An earlier statement of the transaction has failed.
    """
    with typed_errors(conflicts_pass=session.is_joined):
        await session.connection.execute("SAVEPOINT pulse_emit", timeout=session.timeout_seconds)
    try:
        yield
    except BaseException:
        # What does not answer is the caller's to find out; it hides no other error.
        with suppress(*AWAY, asyncpg.PostgresError):
            await session.connection.execute(
                "ROLLBACK TO SAVEPOINT pulse_emit; RELEASE SAVEPOINT pulse_emit",
                timeout=session.timeout_seconds,
            )
        raise
    with typed_errors(conflicts_pass=session.is_joined):
        await session.connection.execute(
            "RELEASE SAVEPOINT pulse_emit", timeout=session.timeout_seconds
        )


def way(connection: object, *, prefix: str) -> str:
    """Return what to pass or do instead of something that is no connection of asyncpg."""
    for kind in type(connection).__mro__:
        for (module, name), instead in WAYS.items():
            if _is_of(kind, module) and name in ("", kind.__name__):
                return instead
        if any(_is_of(kind, package) for package in SQL_DRIVERS):
            return from_sql(prefix=prefix)
    return "what asyncpg.connect() or engine.transaction() gives"


def from_sql(*, prefix: str) -> str:
    """Return the way in which connections of other drivers emit."""
    return (
        f"nothing, and execute SELECT {prefix}emit(tenant_id, source, type, payload, ...) on your "
        "own connection instead"
    )


def _is_of(kind: type, module: str) -> bool:
    return kind.__module__ == module or kind.__module__.startswith(f"{module}.")


def _kind(connection: object) -> str:
    kind = type(connection)
    return f"{kind.__module__.partition('.')[0]}'s {kind.__qualname__}"
