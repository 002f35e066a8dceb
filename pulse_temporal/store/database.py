"""The engine's way to Postgres: its pool, or the application's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from typing_extensions import override

from pulse_temporal.errors import ConfigurationError, PostgresUnavailableError
from pulse_temporal.postgres.cleansing import cleansed, rights_of
from pulse_temporal.postgres.connection import Connection, Pool
from pulse_temporal.postgres.dsn import Target, read_dsn
from pulse_temporal.postgres.failures import AWAY, connect_errors, typed_errors
from pulse_temporal.postgres.sessions import Session, transact
from pulse_temporal.postgres.statement import Statement
from pulse_temporal.store.rows import required
from pulse_temporal.store.statements import statements

POOL_SIZE = 20
CACHED_STATEMENTS = 100
"""Prepared statements that a connection keeps; what asyncpg takes when it is told nothing."""


class OwnConnection(asyncpg.Connection):
    """A connection on which nothing is left behind: what others leave is taken back at once."""

    @override
    def get_reset_query(self) -> str:
        """Spare the pool a round trip each time a connection comes back."""
        return ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the tables are, and what a connection of the pool is like.

    Attributes:
        schema: Of the tables.
        is_read_committed: Whether that is the default isolation.
        user: Its session user.
        role: The role that was set on it, or ``none``.
    """

    schema: str
    is_read_committed: bool
    user: str
    role: str


def _not_lent(pool: Pool, *, seconds: float) -> PostgresUnavailableError:
    """Return why a pool gave no connection in time: it has none left, or cannot connect."""
    if pool.get_size() >= pool.get_max_size() and pool.get_idle_size() == 0:
        return PostgresUnavailableError(
            f"All {pool.get_max_size()} connections of the pool to Postgres are in use, and none "
            f"came free within {seconds:g} s."
        )
    return PostgresUnavailableError(
        f"Postgres does not answer: no connection within {seconds:g} s"
    )


class Database:
    """The engine's way to Postgres; opens its pool when it is first needed.

    Args:
        source: A DSN, or a pool of the application, which is used and never closed.
        prefix: What table names begin with.
        timeout: Bound of connecting, of waiting for a connection and of each statement.
        bounded: Whether statements are bounded; those of transactional actions are not.
        size: Connections of a pool that is opened here, at most.
        turns: Connections in use at the same time, at most; for a part of a shared pool.
        statement_cache: Whether connections that are opened here keep prepared statements.

    Attributes:
        id: Given by ``migrate``; known once the engine has been started.
    """

    def __init__(  # noqa: PLR0913 - all but the source are given by name
        self,
        source: str | Pool,
        *,
        prefix: str,
        timeout: timedelta,
        bounded: bool = True,
        size: int = POOL_SIZE,
        turns: int | None = None,
        statement_cache: bool = True,
    ) -> None:
        self.source = source
        self.prefix = prefix
        self.id: str | None = None
        self.timeout: float = timeout.total_seconds()
        self.bounded = bounded
        self.size = size
        self.statement_cache = statement_cache
        self._turns = asyncio.Semaphore(turns) if turns else nullcontext()
        self._pool: Pool | None = None
        self._place: _Place | None = None
        self._hosts: list[str] = []
        self._home: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    @property
    def lent_size(self) -> int | None:
        """How many connections a pool of the application has at most; None: it has none."""
        return self.source.get_max_size() if isinstance(self.source, asyncpg.Pool) else None

    @asynccontextmanager
    async def session(self, *, to_others: bool = False) -> AsyncGenerator[Session]:
        """Lend a connection on which each statement commits for itself.

        Args:
            to_others: The application may do on it what it likes.
        """
        async with self._connection() as connection:
            place = self._place or await self._find(connection)
            session = Session(
                connection,
                self._statements(place),
                self.timeout,
                is_read_committed=place.is_read_committed,
                rights=rights_of(user=place.user, role=place.role) if to_others else "",
            )
            if to_others:
                async with cleansed(session, user=place.user, role=place.role):
                    yield session
            else:
                yield session

    @asynccontextmanager
    async def transaction(self, *, to_others: bool = False) -> AsyncGenerator[Session]:
        """Lend a connection inside a transaction that commits when the block ends well.

        Args:
            to_others: The application may do on it what it likes.
        """
        async with (
            self.session(to_others=to_others) as session,
            transact(session, lent=to_others),
        ):
            yield session

    async def join(self, connection: Connection) -> Session:
        """Speak to this engine's tables on a connection of the caller."""
        if self._place is None:
            async with self.session():
                pass
        place = self._place or await self._find(connection)
        return Session(connection, self._statements(place), self.timeout, is_joined=True)

    async def close(self) -> None:
        """Close the pool, unless it is the application's."""
        self._come_home()
        pool, self._pool = self._pool, None
        self._home = None
        self._place = None
        if pool is None or pool is self.source:
            return
        try:
            await asyncio.wait_for(pool.close(), self.timeout)
        except TimeoutError:
            pool.terminate()

    def forget_schema(self) -> None:
        """Look for the tables again at the next use; migrations may have moved them."""
        self._place = None

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection]:
        async with self._turns, self._lent() as connection:
            yield connection

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Connection]:
        self._come_home()
        with typed_errors():
            pool = self._pool or await self._open()
            try:
                with connect_errors(self._hosts, was_connected=self._place is not None):
                    connection = await pool.acquire(timeout=self.timeout)
            except TimeoutError as error:
                raise _not_lent(pool, seconds=self.timeout) from error
        try:
            yield connection
        except PostgresUnavailableError as error:
            if isinstance(error.__cause__, asyncpg.ReadOnlySQLTransactionError):
                # The server may have been demoted: no connection to it is used again.
                await pool.expire_connections()
            raise
        finally:
            # A connection that does not answer is cut by the pool, and hides no other error.
            with suppress(*AWAY, asyncpg.PostgresError):
                await pool.release(connection, timeout=self.timeout)

    def _come_home(self) -> None:
        """Forget the pool of an event loop that has ended, as between two ``asyncio.run``.

        Raises:
            ConfigurationError: The pool belongs to another event loop, which is alive.
        """
        loop, home = asyncio.get_running_loop(), self._home
        if loop is home:
            return
        is_ours = self._pool is not None and self._pool is not self.source
        if is_ours and home is not None and not home.is_closed():
            raise ConfigurationError(
                "This engine is in use in another event loop. Stop it there first; from threads "
                "use engine.blocking."
            )
        self._home, self._pool, self._opening = loop, None, asyncio.Lock()

    async def _open(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                source = self.source
                if isinstance(source, asyncpg.Pool):
                    self._pool = source
                else:
                    self._pool = await self._connect(read_dsn(source))
            return self._pool

    async def _connect(self, target: Target) -> Pool:
        self._hosts = target.arguments.get("host", [])
        keeps_statements = self.statement_cache and not target.is_pooled
        return await asyncpg.create_pool(
            **target.arguments,
            min_size=0,
            max_size=self.size,
            timeout=min(self.timeout, target.connect_seconds or self.timeout),
            command_timeout=self.timeout if self.bounded else None,
            statement_cache_size=CACHED_STATEMENTS if keeps_statements else 0,
            connection_class=OwnConnection,
        )

    async def _find(self, connection: Connection) -> _Place:
        """Look at a connection that nobody has changed yet.

        Raises:
            ConfigurationError: This database, or this role, is of no use.
        """
        text = statements(prefix=self.prefix, schema="public")["migrations.find_place"].text
        with typed_errors():
            row = required(
                await connection.fetchrow(text, f"{self.prefix}triggers"), "the database"
            )
        if row["encoding"] != "UTF8":
            raise ConfigurationError(
                f"The database is encoded in {row['encoding']}, which cannot hold every text. "
                "Pulse needs a database in UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE "
                "template0."
            )
        if row["schema"] is None:
            raise ConfigurationError(
                "The search path of the database role names no schema that the role may use. "
                "Grant USAGE on the schema of Pulse's tables, or set search_path."
            )
        self._place = _Place(
            schema=row["schema"],
            is_read_committed=row["is_read_committed"],
            user=row["user"],
            role=row["role"],
        )
        return self._place

    def _statements(self, place: _Place) -> Mapping[str, Statement]:
        return statements(prefix=self.prefix, schema=place.schema)
