"""What Postgres and asyncpg say, as errors of this library."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

from pulse_temporal.errors import (
    ConfigurationError,
    InvalidInputError,
    PostgresUnavailableError,
    SchemaError,
    TransactionConflictError,
    TransactionFailedError,
)
from pulse_temporal.store.redaction import redacted

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a fatal error came, and the end of the connection did not
    asyncpg.TargetServerAttributeNotMatched,
)
"""What asyncpg raises when Postgres is gone, restarting, or told to give up a statement."""

IN_DOUBT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,
)
"""Those of ``AWAY`` after which nobody knows whether a COMMIT that was sent has taken place. The
others come before it is sent, or are Postgres's own word that it has not."""

UNABLE = (
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresIOError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
"""What Postgres says when it lives and cannot do it now: full, out of connections, read-only,
behind a lock for longer than the role's ``lock_timeout``, or a migration has just changed what a
prepared statement gives. The same call works later."""

TURNED_AWAY = (
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What asyncpg raises when the DSN is wrong: its form, the role, the password, the database."""

STATEMENT_LOST = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""What Postgres says when a pooler has changed the server connection under asyncpg's cache."""

UNDONE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What Postgres says when it has undone a transaction because of another one: 40001, 40P01."""


@contextmanager
def typed_errors(*, conflicts_pass: bool = False) -> Generator[None]:
    """Raise what Postgres and asyncpg say as errors of this library.

    Args:
        conflicts_pass: Leave ``UNDONE`` as it is: in the caller's transaction it is the caller
            who repeats, and knows it by its class.

    Raises:
        ConfigurationError: The DSN is wrong, or a pooler forbids cached statements.
        InvalidInputError: An argument is no text that Postgres can store.
        PostgresUnavailableError: No connection, no answer in time, the connection broke, or
            Postgres is full, read-only or otherwise unable for now.
        SchemaError: A table or column is missing.
        TransactionConflictError: Postgres has undone the transaction because of another one.
        TransactionFailedError: The transaction is beyond use.
    """
    try:
        with redacted():
            yield
    except TURNED_AWAY as error:
        raise ConfigurationError(f"Postgres cannot be used with this DSN: {error}") from error
    except AWAY as error:
        reason = str(error) or type(error).__name__
        raise PostgresUnavailableError(f"Postgres does not answer: {reason}") from error
    except UNABLE as error:
        raise PostgresUnavailableError(f"Postgres cannot do this now: {error}") from error
    except STATEMENT_LOST as error:
        raise ConfigurationError(
            f"Postgres has lost a prepared statement: {error}. Behind a pooler in transaction "
            "mode, such as PgBouncer, create the engine with statement_cache=False."
        ) from error
    except (asyncpg.DataError, ValueError) as error:  # ValueError: not even asyncpg can name it
        raise InvalidInputError(
            "Postgres cannot take a value: ids are text without NUL and lone surrogates."
        ) from error
    except UNDONE as error:
        if conflicts_pass:
            raise
        raise TransactionConflictError(
            f"Postgres has undone the transaction because of another one: {error}"
        ) from error
    except asyncpg.InFailedSQLTransactionError as error:
        raise TransactionFailedError(
            "An earlier statement of this transaction failed, and its error was swallowed."
        ) from error
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise SchemaError(f"{error}. Has engine.migrate() (pulse migrate) been run?") from error
