"""A connection that is lent to the application's code: who spoils it, pays for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

import asyncpg
from uuid_utils import uuid7

from pulse_temporal.errors import (
    MissingRightError,
    PostgresUnavailableError,
    StoreError,
    TransactionEndedError,
    TransactionFailedError,
    TransactionInDoubtError,
)
from pulse_temporal.postgres.failures import typed_errors
from pulse_temporal.postgres.sessions import Session, transact

MARK = "SET LOCAL pulse.borrowed = '{}'"
"""Ends with its transaction. No query, which would forbid the borrower SET TRANSACTION, and so
without parameters."""

CALLED_OFF = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
DEAD = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # a fatal error came, and the end of the connection did not
)
COLLIDED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
BY_AN_OPERATOR = "user request"
"""What Postgres says of a statement that ``pg_cancel_backend`` has called off, and no timeout."""

BOUNDS = {"statement timeout": "statement_timeout", "lock timeout": "lock_timeout"}
"""The settings that call a statement off, by what Postgres says then."""

_borrower: ContextVar[BorrowedTransaction | None] = ContextVar("pulse_borrower", default=None)
"""The transaction whose borrower runs; tasks that the borrower starts inherit it."""


class BorrowedTransaction:
    """A transaction on a connection with which foreign code may do what it likes.

    Args:
        session: On the connection that is lent.

    Attributes:
        mark: By which the transaction is told from any other.
        is_ended: The borrower has ended the transaction, as far as ``look`` has seen.
    """

    def __init__(self, session: Session) -> None:
        self.mark: str = uuid7().hex
        self.is_ended = False
        self._session = session
        self._is_dead = False
        self._has_failed = False
        self._is_called_off = False
        self._is_closed_by_borrower = False
        self._is_thrown_away = False

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Let foreign code run in the block."""
        token = _borrower.set(self)
        try:
            yield
        finally:
            _borrower.reset(token)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Make the block a transaction that commits when it ends well.

        Raises:
            TransactionEndedError: Its borrower has ended it.
            TransactionFailedError: It could not commit, or could not be used any more because
                of what its borrower did.
            PostgresUnavailableError: The server, the network or an operator failed it.
        """
        connection = self._session.connection
        connection.add_termination_listener(self._notice)
        try:
            async with transact(self._session, lent=True):
                with typed_errors():
                    await connection.execute(
                        MARK.format(self.mark), timeout=self._session.timeout_seconds
                    )
                try:
                    yield
                except asyncio.CancelledError:
                    # The borrower may not have heeded its cancel. What it sends behind a
                    # rollback would commit by itself.
                    self.throw_away()
                    raise
                self.check_open()
        except TransactionInDoubtError:  # the next claim sees which it is
            raise
        except MissingRightError as error:
            raise TransactionFailedError(
                f"The step could not be recorded in the handler's transaction: {error} Has the "
                "handler left a role behind? RESET ROLE before it returns."
            ) from error
        except (StoreError, asyncpg.PostgresError) as error:
            judged = await self._judged(error)
            if judged is error:
                raise
            raise judged from error
        finally:
            with suppress(asyncpg.InterfaceError):  # it is closed, and has forgotten it
                connection.remove_termination_listener(self._notice)

    def check_open(self) -> None:
        """Do nothing while a transaction is open, which costs no round trip.

        Raises:
            TransactionEndedError: The borrower has ended it.
        """
        if not self._is_closed and not self._session.connection.is_in_transaction():
            self.is_ended = True
            raise ended()

    async def check(self) -> None:
        """Do nothing while the transaction that was lent is open; another one may be by now.

        Raises:
            TransactionEndedError: The borrower has ended it.
        """
        self.check_open()
        row = await self._session.row("transactions.mark")
        if row is None or row["mark"] != self.mark:
            self.is_ended: bool = True
            raise ended()

    async def look(self) -> None:
        """Note what the borrower has made of the transaction, which is to be undone now.

        What it did before an SQL error cannot be seen any more.
        """
        if self._is_closed:
            return
        try:
            async with asyncio.timeout(self._session.timeout_seconds):
                await self.check()
        except (StoreError, TimeoutError, asyncpg.PostgresError) as error:
            reason = _reason(error)
            self._is_dead = isinstance(reason, DEAD)
            # What was canceled on another connection leaves this transaction as it is.
            self._has_failed = isinstance(reason, asyncpg.InFailedSQLTransactionError)

    def hear(self, error: BaseException | None) -> None:
        """Note what the borrower's code has raised.

        A write on a connection that the server has ended closes it in the context of the writer,
        as if the writer had done so. What it raises has a cause then, of the server or the socket.

        A statement that an operator cancels is not the borrower's doing either.
        """
        while error is not None and not self._is_dead:
            is_broken = isinstance(error, asyncpg.PostgresConnectionError)
            is_broken = is_broken and error.__cause__ is not None
            self._is_dead = is_broken and self._is_closed
            is_called_off = isinstance(error, asyncpg.QueryCanceledError)
            self._is_called_off |= is_called_off and BY_AN_OPERATOR in str(error)
            error = error.__cause__

    def throw_away(self) -> None:
        """Cut the connection, so that nobody can send anything on it any more."""
        self._is_thrown_away = True
        with suppress(asyncpg.InterfaceError):  # the pool has taken back what was closed
            self._session.connection.terminate()

    async def _judged(self, error: StoreError | asyncpg.PostgresError) -> Exception:
        """Return an error as what it is: the borrower's doing, or the infrastructure's."""
        reason = _reason(error)
        if isinstance(error, TransactionEndedError):
            self.throw_away()
            return error
        if self._is_closed_by_borrower and not self._is_dead:
            return TransactionFailedError("The handler closed the connection of its transaction.")
        if await self._is_nobodys(reason):
            return _unavailable(error)
        if isinstance(reason, (asyncpg.InterfaceError, *CALLED_OFF)):
            return TransactionFailedError(
                "The handler left the connection of its transaction unfit for recording the "
                f"step: {reason}"
            )
        if isinstance(error, asyncpg.PostgresError):
            return TransactionFailedError(
                f"The step could not be recorded in the handler's transaction: {error}"
            )
        return error

    async def _is_nobodys(self, reason: Exception | None) -> bool:
        """Return whether the borrower has no part in what Postgres says."""
        if self.is_cut or isinstance(reason, COLLIDED):
            return True
        return isinstance(reason, CALLED_OFF) and not await self._is_bound_by_borrower(reason)

    async def _is_bound_by_borrower(self, reason: Exception) -> bool:
        """Return whether a statement ran into a bound that its session does not have by itself."""
        text = str(reason)
        names = [setting for said, setting in BOUNDS.items() if said in text]
        with suppress(StoreError, TimeoutError, asyncpg.PostgresError):
            async with asyncio.timeout(self._session.timeout_seconds):
                for name in names:
                    row = await self._session.row("transactions.default_setting", setting=name)
                    return row is not None and row["value"] == "0"
        return False

    @property
    def is_cut(self) -> bool:
        """Whether the server, the network or an operator has ended it, not its borrower."""
        is_ours = self._is_closed_by_borrower or self._is_thrown_away
        is_called_off = self._is_called_off and self._has_failed
        return self._is_dead or is_called_off or (self._is_closed and not is_ours)

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


def _reason(error: BaseException) -> Exception | None:
    """Return what asyncpg said in the first place."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, (asyncpg.PostgresError, asyncpg.InterfaceError, *DEAD)):
            return found
        found = found.__cause__
    return None


def ended() -> TransactionEndedError:
    """Return what is raised when a borrower has ended the transaction that it was lent."""
    return TransactionEndedError(
        "The transaction was ended from within, with COMMIT, ROLLBACK or RESET ALL, so what was "
        "written may have stayed. Only Pulse may end it; a savepoint is allowed."
    )


def _unavailable(error: StoreError | asyncpg.PostgresError) -> StoreError:
    if isinstance(error, StoreError) and error.retryable:
        return error
    return PostgresUnavailableError(f"Postgres could not do it now: {error}")
