"""One connection with named statements, and transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

import asyncpg

from pulse_temporal.errors import (
    PostgresUnavailableError,
    TransactionConflictError,
    TransactionEndedError,
    TransactionFailedError,
    TransactionInDoubtError,
)
from pulse_temporal.postgres.connection import Connection, Record
from pulse_temporal.postgres.failures import AWAY, IN_DOUBT, typed_errors
from pulse_temporal.postgres.statement import Statement

Answer = TypeVar("Answer")
Parameters = ParamSpec("Parameters")

PAUSES = tuple(timedelta(milliseconds=pause) for pause in (10, 50, 250))
"""Before each repetition of what Postgres has undone; who was in the way has gone on by then."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, and the statements in the dialect of this engine's tables.

    Statements are named as in ``queries/``, for example ``runs.get_run``. Failures are those
    of ``typed_errors``; other database errors pass through.

    The statements are written for READ COMMITTED. A role, a database or a pool may have another
    default: transactions name the level, and so does a statement outside of one where the
    default is another. A statement of its own that Postgres undoes is sent again.

    Attributes:
        timeout_seconds: Of beginning and of undoing a transaction.
        is_read_committed: Whether that is the default of the connection.
        is_joined: The transaction is the caller's, and so are its level and its repetition.
        rights: SQL that gives a lent transaction the rights back that it began with.
    """

    connection: Connection
    statements: Mapping[str, Statement]
    timeout_seconds: float
    is_read_committed: bool = True
    is_joined: bool = False
    rights: str = ""

    async def row(self, name: str, /, **arguments: object) -> Record | None:
        """Run a statement with its parameters by name; return its first row, None without one."""
        text, values = self._prepared(name, arguments)
        return await self._send(text, lambda: self.connection.fetchrow(text, *values))

    async def rows(self, name: str, /, **arguments: object) -> list[Record]:
        """Run a statement with its parameters by name, and return all its rows."""
        text, values = self._prepared(name, arguments)
        return await self._send(text, lambda: self.connection.fetch(text, *values))

    async def rows_within(
        self, name: str, timeout: timedelta | None, /, **arguments: object
    ) -> list[Record]:
        """Do as ``rows``, with a bound of its own; None: the connection's."""
        text, values = self._prepared(name, arguments)
        seconds = timeout.total_seconds() if timeout else None
        return await self._send(
            text, lambda: self.connection.fetch(text, *values, timeout=seconds)
        )

    async def run(self, name: str, /, **arguments: object) -> int:
        """Run a statement with its parameters by name; return how many rows it changed."""
        text, values = self._prepared(name, arguments)
        tag = await self._send(text, lambda: self.connection.execute(text, *values))
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def _prepared(
        self, name: str, arguments: Mapping[str, object]
    ) -> tuple[str, Sequence[object]]:
        statement = self.statements[name]
        return statement.text, statement.arguments(arguments)

    async def count_at_end(self, name: str, /, numbers: Sequence[int]) -> int:
        """Count the rows of a statement at the end of a transaction that was lent.

        It may run under a role that its borrower has left, and with prepared statements that
        the borrower has deallocated. So the rights come back before, and nothing is prepared.

        Args:
            name: A SELECT whose only parameter is ``numbers``.
            numbers: Nothing is read when there are none, which needs no rights.

        Raises:
            TransactionFailedError: A statement has failed before, and its error was swallowed.
        """
        text = self.statements[name].text.replace("$1", f"'{{{','.join(map(str, numbers))}}}'")
        with typed_errors(text):
            tag = await self.connection.execute(
                self.rights + text if numbers else "SELECT", timeout=self.timeout_seconds
            )
        return int(tag.rpartition(" ")[2]) if numbers else 0

    async def _send(self, text: str, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Send a statement; in a transaction it is part of that and never repeated here."""
        if self.is_read_committed or self._is_in_transaction():
            try:
                with typed_errors(text, conflicts_pass=self.is_joined):
                    return await send()
            except TransactionConflictError:
                if self._is_in_transaction():
                    raise
        return await repeated(lambda: self._send_in_transaction(text, send))

    def _is_in_transaction(self) -> bool:
        with typed_errors():
            return self.is_joined or self.connection.is_in_transaction()

    async def _send_in_transaction(
        self, text: str, send: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        async with transact(self):
            with typed_errors(text):
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


class _OwnTransaction:
    """A transaction on a connection that nobody else begins one on; it reads what COMMIT says."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def start(self) -> None:
        await self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")

    async def rollback(self) -> None:
        await self.connection.execute("ROLLBACK")

    async def commit(self) -> None:
        """Commit, and notice a rollback: Postgres calls it no error after a failed statement."""
        if await self.connection.execute("COMMIT") != "COMMIT":
            raise TransactionFailedError(
                "The transaction did not commit: one of its statements had failed."
            )


@asynccontextmanager
async def transact(session: Session, *, lent: bool = False) -> AsyncGenerator[None]:
    """Make the block a READ COMMITTED transaction that commits when it ends well.

    Args:
        session: On a connection in no transaction.
        lent: Foreign code has the connection meanwhile. It may use transactions of asyncpg,
            which know none that was begun in SQL. After it the block must execute a statement:
            that one tells a failure which was swallowed.

    Raises:
        TransactionConflictError: Postgres undid it because of another transaction.
        TransactionEndedError: Foreign code has ended it.
        TransactionFailedError: It did not commit.
        TransactionInDoubtError: The connection broke while it was committed.
        PostgresUnavailableError: It did not commit, for Postgres was away.
    """
    connection = session.connection
    with typed_errors():
        transaction = (
            connection.transaction(isolation="read_committed")
            if lent
            else _OwnTransaction(connection)
        )
        async with asyncio.timeout(session.timeout_seconds):
            await transaction.start()
    try:
        yield
        if lent:
            _refuse_ended(connection)
    except BaseException:
        # The pool cuts what does not answer, and has taken back what broke meanwhile. Bounded
        # here: a connection whose statements may take their time would wait for ever.
        with suppress(*AWAY, asyncpg.PostgresError):
            async with asyncio.timeout(session.timeout_seconds):
                if not connection.is_closed():
                    await transaction.rollback()
        raise
    try:
        with typed_errors():
            await transaction.commit()
    except PostgresUnavailableError as error:
        if not isinstance(error.__cause__, IN_DOUBT):
            raise
        raise TransactionInDoubtError(
            "The connection to Postgres broke while a transaction was committed: whether it is "
            "committed is not known."
        ) from error.__cause__
    except asyncpg.PostgresError as error:
        raise TransactionFailedError(f"The transaction did not commit: {error}") from error


def _refuse_ended(connection: Connection) -> None:
    """Notice that foreign code has ended the transaction that it works in."""
    with typed_errors():
        if not connection.is_closed() and not connection.is_in_transaction():
            raise TransactionEndedError(
                "The transaction was ended inside of its block, by COMMIT or ROLLBACK. Leave both "
                "to the block; use a savepoint (connection.transaction()) for a part of it."
            )
