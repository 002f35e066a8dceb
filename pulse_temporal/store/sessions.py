"""One connection with named statements, and transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

import asyncpg

from pulse_temporal.errors import TransactionConflictError, TransactionFailedError
from pulse_temporal.store.connection import Connection, Record
from pulse_temporal.store.failures import AWAY, typed_errors

Answer = TypeVar("Answer")
Parameters = ParamSpec("Parameters")

PAUSES = tuple(timedelta(milliseconds=pause) for pause in (10, 50, 250))
"""Before each repetition of what Postgres has undone; who was in the way has gone on by then."""

RESET = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"
"""Takes back what somebody else may have left on a connection."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, and the statements in the dialect of this engine's tables.

    Statements are named as in ``queries/``, for example ``runs.get_run``. Failures are those
    of ``typed_errors``; other database errors pass through.

    The statements are written for READ COMMITTED. A role, a database or a pool may have another
    default: transactions name the level, and so does a statement outside of one where the
    default is another. A statement of its own that Postgres undoes is sent again.

    Attributes:
        seconds: Bound of beginning and of undoing a transaction.
        is_read_committed: Whether that is the default of the connection.
        is_joined: The transaction is the caller's, and so are its level and its repetition.
    """

    connection: Connection
    texts: Mapping[str, str]
    seconds: float
    is_read_committed: bool = True
    is_joined: bool = False

    async def row(self, name: str, /, *arguments: object) -> Record | None:
        """Run a statement and give its first row; None when it gave none."""
        text = self.texts[name]
        return await self._send(lambda: self.connection.fetchrow(text, *arguments))

    async def rows(
        self, name: str, /, *arguments: object, patience: timedelta | None = None
    ) -> list[Record]:
        """Run a statement and give all its rows.

        Args:
            name: The statement.
            arguments: Its parameters, in order.
            patience: Bound of this statement when it differs from the connection's.
        """
        text = self.texts[name]
        seconds = patience.total_seconds() if patience else None
        return await self._send(lambda: self.connection.fetch(text, *arguments, timeout=seconds))

    async def run(self, name: str, /, *arguments: object) -> int:
        """Run a statement and say how many rows it changed."""
        text = self.texts[name]
        tag = await self._send(lambda: self.connection.execute(text, *arguments))
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def _send(self, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Send a statement; in a transaction it is part of that and never repeated here."""
        if self.is_read_committed or self._is_in_transaction():
            try:
                with typed_errors(conflicts_pass=self.is_joined):
                    return await send()
            except TransactionConflictError:
                if self._is_in_transaction():
                    raise
        return await repeated(lambda: self._send_in_transaction(send))

    def _is_in_transaction(self) -> bool:
        with typed_errors():
            return self.is_joined or self.connection.is_in_transaction()

    async def _send_in_transaction(self, send: Callable[[], Awaitable[Answer]]) -> Answer:
        async with transact(self):
            with typed_errors():
                return await send()


async def repeated(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do work again that Postgres has undone because of another transaction.

    Args:
        work: One whole transaction, and nothing else that must not happen twice.

    Raises:
        TransactionConflictError: It was undone each time.
    """
    for pause in PAUSES:
        with suppress(TransactionConflictError):
            return await work()
        await asyncio.sleep(pause.total_seconds())
    return await work()


def repeats(
    method: Callable[Parameters, Coroutine[object, object, Answer]],
) -> Callable[Parameters, Coroutine[object, object, Answer]]:
    """Make a method ``repeated`` that is one transaction, and harmless around it."""

    @wraps(method)
    async def work(*args: Parameters.args, **named: Parameters.kwargs) -> Answer:
        return await repeated(lambda: method(*args, **named))

    return work


@asynccontextmanager
async def transact(session: Session) -> AsyncGenerator[None]:
    """Make the block a transaction that commits when it ends well.

    It is READ COMMITTED; inside of another transaction it is a savepoint.

    Raises:
        TransactionConflictError: Postgres undid it because of another transaction.
        TransactionFailedError: It could not commit.
    """
    with typed_errors(conflicts_pass=session.is_joined):
        is_inner = session.is_joined or session.connection.is_in_transaction()
        transaction = session.connection.transaction(
            isolation=None if is_inner else "read_committed"
        )
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
        with typed_errors(conflicts_pass=session.is_joined):
            await transaction.commit()
    except asyncpg.PostgresError as error:
        if session.is_joined and isinstance(error, asyncpg.TransactionRollbackError):
            raise
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
