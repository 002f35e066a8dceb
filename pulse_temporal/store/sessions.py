"""One connection with named statements, and transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from pulse_temporal.errors import TransactionFailedError
from pulse_temporal.store.connection import Connection, Record
from pulse_temporal.store.failures import AWAY, typed_errors

RESET = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"
"""Takes back what somebody else may have left on a connection."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, and the statements in the dialect of this engine's tables.

    Statements are named as in ``queries/``, for example ``runs.get_run``. Failures are those
    of ``typed_errors``; other database errors pass through.

    Attributes:
        seconds: Bound of beginning and of undoing a transaction.
    """

    connection: Connection
    texts: Mapping[str, str]
    seconds: float

    async def row(self, name: str, /, *arguments: object) -> Record | None:
        """Run a statement and give its first row; None when it gave none."""
        with typed_errors():
            return await self.connection.fetchrow(self.texts[name], *arguments)

    async def rows(
        self, name: str, /, *arguments: object, patience: timedelta | None = None
    ) -> list[Record]:
        """Run a statement and give all its rows.

        Args:
            name: The statement.
            arguments: Its parameters, in order.
            patience: Bound of this statement when it differs from the connection's.
        """
        seconds = patience.total_seconds() if patience else None
        with typed_errors():
            return await self.connection.fetch(self.texts[name], *arguments, timeout=seconds)

    async def run(self, name: str, /, *arguments: object) -> int:
        """Run a statement and say how many rows it changed."""
        with typed_errors():
            tag = await self.connection.execute(self.texts[name], *arguments)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


@asynccontextmanager
async def transact(session: Session) -> AsyncGenerator[None]:
    """Make the block a transaction that commits when it ends well.

    Raises:
        TransactionFailedError: It could not commit.
    """
    with typed_errors():
        transaction = session.connection.transaction()
        async with asyncio.timeout(session.seconds):
            await transaction.start()
    try:
        yield
    except BaseException:
        # The pool cuts what does not answer, and has taken back what broke meanwhile. Bounded
        # here: a connection whose statements may take their time would wait for ever.
        with suppress(*AWAY, asyncpg.PostgresError):
            async with asyncio.timeout(session.seconds):
                if not session.connection.is_closed():
                    await transaction.rollback()
        raise
    try:
        with typed_errors():
            await transaction.commit()
    except asyncpg.PostgresError as error:
        raise TransactionFailedError(f"The transaction did not commit: {error}") from error


async def cleanse(session: Session) -> None:
    """Take back what the application may have left on a connection, or cut it."""
    try:
        await session.connection.execute(RESET, timeout=session.seconds)
    except BaseException as error:
        with suppress(asyncpg.InterfaceError):  # the pool has taken back what was closed
            session.connection.terminate()
        if not isinstance(error, (*AWAY, asyncpg.PostgresError)):
            raise
