"""A connection that is lent to the application's code: who spoils it, pays for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

import asyncpg

from pulse_temporal.errors import PostgresUnavailableError, TransactionFailedError
from pulse_temporal.store.sessions import Session, transact

_borrower: ContextVar[Loan | None] = ContextVar("pulse_borrower", default=None)
"""The loan whose borrower runs; tasks that the borrower starts inherit it."""


class Loan:
    """A transaction on a connection with which foreign code may do what it likes.

    Args:
        session: On the connection that is lent.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_closed_by_borrower = False

    @property
    def is_cut(self) -> bool:
        """Whether the server or the network has ended the connection, not its borrower."""
        return self._is_closed and not self._is_closed_by_borrower

    @contextmanager
    def borrowed(self) -> Generator[None]:
        """Let foreign code run in the block."""
        token = _borrower.set(self)
        try:
            yield
        finally:
            _borrower.reset(token)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Make the block a transaction that commits when it ends well.

        Raises:
            TransactionFailedError: It could not commit, or could not be used any more because
                of what its borrower did.
            PostgresUnavailableError: The server or the network failed.
        """
        connection = self._session.connection
        connection.add_termination_listener(self._notice)
        try:
            async with transact(self._session):
                yield
        except PostgresUnavailableError as error:
            if self._is_closed_by_borrower:
                raise TransactionFailedError(
                    "The handler closed the connection of its transaction."
                ) from error
            is_spoiled = isinstance(
                error.__cause__, asyncpg.InterfaceError | asyncpg.QueryCanceledError
            )
            if is_spoiled and not self._is_closed:
                raise TransactionFailedError(
                    "The handler left the connection of its transaction unfit for recording the "
                    f"step: {error.__cause__}"
                ) from error
            raise
        except asyncpg.PostgresError as error:
            raise TransactionFailedError(
                f"The step could not be recorded in the handler's transaction: {error}"
            ) from error
        finally:
            with suppress(asyncpg.InterfaceError):  # it is closed, and has forgotten it
                connection.remove_termination_listener(self._notice)

    @property
    def _is_closed(self) -> bool:
        try:
            return self._session.connection.is_closed()
        except asyncpg.InterfaceError:  # the pool has taken it back, because it was closed
            return True

    def _notice(self, _: object) -> None:
        """Hear that the connection is closed, in the context of whoever closes it."""
        if _borrower.get() is self:
            self._is_closed_by_borrower = True
