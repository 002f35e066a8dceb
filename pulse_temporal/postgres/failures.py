"""What Postgres and asyncpg say, as errors of this library."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg

from pulse_temporal.errors import (
    ConfigurationError,
    InvalidInputError,
    MissingRightError,
    PostgresUnavailableError,
    PulseError,
    SchemaError,
    TransactionConflictError,
    TransactionFailedError,
)
from pulse_temporal.postgres.redaction import redacted
from pulse_temporal.postgres.rights import told_rights

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
REFUSED_SETTING = (
    asyncpg.UndefinedObjectError,
    asyncpg.CantChangeRuntimeParamError,
    asyncpg.InvalidParameterValueError,
    asyncpg.PostgresSyntaxError,
)
"""What Postgres says to a setting in a connection string that it does not know or take."""

UNKNOWN_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
"""What the name service says of a host that does not exist; it may be away itself, too."""


Tell: TypeAlias = Callable[[Exception, str], PulseError]


def _away(error: Exception, _: str) -> PulseError:
    return PostgresUnavailableError(
        f"Postgres does not answer: {str(error) or type(error).__name__}"
    )


def _without_right(error: Exception, text: str) -> PulseError:
    return MissingRightError(
        f"The role that Pulse connects with may not do this: {error}."
        f"{told_rights(text, refusal=str(error))} docs/operate/roles.md has the grants."
    )


def _statement_lost(error: Exception, _: str) -> PulseError:
    return ConfigurationError(
        f"Postgres has lost a prepared statement: {error}. Behind a pooler in transaction mode, "
        "such as PgBouncer, create the engine with statement_cache=False."
    )


TOLD: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Tell], ...] = (
    (
        TURNED_AWAY,
        lambda error, _: ConfigurationError(f"Postgres cannot be used with this DSN: {error}"),
    ),
    (AWAY, _away),
    (
        UNABLE,
        lambda error, _: PostgresUnavailableError(f"Postgres cannot do this now: {error}"),
    ),
    (STATEMENT_LOST, _statement_lost),
    (
        UNDONE,
        lambda error, _: TransactionConflictError(
            f"Postgres has undone the transaction because of another one: {error}"
        ),
    ),
    (asyncpg.InsufficientPrivilegeError, _without_right),
    (
        (asyncpg.DataError, ValueError),  # ValueError: not even asyncpg can name it
        lambda _, __: InvalidInputError(
            "Postgres cannot take a value: ids are text without NUL and lone surrogates."
        ),
    ),
    (
        asyncpg.InFailedSQLTransactionError,
        lambda _, __: TransactionFailedError(
            "An earlier statement of this transaction failed, and its error was swallowed."
        ),
    ),
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError),
        lambda error, _: SchemaError(f"{error}. Has engine.migrate() (pulse migrate) been run?"),
    ),
)
"""How each failure is told; the first that fits counts."""


@contextmanager
def typed_errors(text: str = "", *, conflicts_pass: bool = False) -> Generator[None]:
    """Raise what Postgres and asyncpg say as errors of this library.

    Args:
        text: The statement, so that a refusal can say which rights it needs.
        conflicts_pass: Leave ``UNDONE`` as it is: in the caller's transaction it is the caller
            who repeats, and knows it by its class.

    Raises:
        ConfigurationError: The DSN is wrong, or a pooler forbids cached statements.
        InvalidInputError: An argument is no text that Postgres can store.
        MissingRightError: The role may not do this.
        PostgresUnavailableError: No connection, no answer in time, the connection broke, or
            Postgres is full, read-only or otherwise unable for now.
        SchemaError: A table or column is missing.
        TransactionConflictError: Postgres has undone the transaction because of another one.
        TransactionFailedError: The transaction is beyond use.
    """
    try:
        with redacted():
            yield
    except (asyncpg.PostgresError, *AWAY, ValueError) as error:
        if conflicts_pass and isinstance(error, UNDONE):
            raise
        for kinds, tell in TOLD:
            if isinstance(error, kinds):
                raise tell(error, text) from error
        raise


def _is_unknown_host(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) and error.errno in UNKNOWN_HOST


@contextmanager
def connect_errors(hosts: Sequence[str], *, was_connected: bool) -> Generator[None]:
    """Tell a wrong connection string from a server that is away, while connecting.

    Args:
        hosts: Of the connection string; what the message may quote of it.
        was_connected: Whether the string has led to a server before. Then a host that is not
            known is a failure of the name service.

    Raises:
        ConfigurationError: The connection string is wrong.
    """
    try:
        yield
    except REFUSED_SETTING as error:
        raise ConfigurationError(
            f"Postgres refuses a parameter of the DSN: {error}. docs/operate/postgres.md lists "
            "the parameters that are known."
        ) from None
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
        raise ConfigurationError(
            f"The pooler before Postgres refuses a parameter of the DSN: {error}."
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"The certificate of Postgres does not convince: {error.verify_message}. See sslmode "
            "and sslrootcert in the DSN."
        ) from None
    except OSError as error:
        if was_connected or not _is_unknown_host(error):
            raise
        raise ConfigurationError(
            f"The host in the DSN of Postgres is not known: {', '.join(hosts)}."
        ) from None
    except (ValueError, asyncpg.DataError):  # such as a host name that no name service takes
        raise ConfigurationError(
            "The DSN of Postgres cannot be used: is its host right?"
        ) from None


def is_in_doubt(error: PostgresUnavailableError) -> bool:
    """Return whether a statement that commits by itself may have been carried out nevertheless."""
    return isinstance(error.__cause__, IN_DOUBT)


@contextmanager
def in_doubt(*, has_key: bool) -> Generator[None]:
    """Say so where the answer to a signal that was sent is lost.

    Args:
        has_key: The signal has an idempotency key.

    Raises:
        PostgresUnavailableError: As the block; its message says what is not known.
    """
    try:
        yield
    except PostgresUnavailableError as error:
        if not is_in_doubt(error):
            raise
        advice = (
            "Emit it again with the same idempotencyKey: it is stored once."
            if has_key
            else "To emit it again may store it twice; signals with an idempotencyKey can be "
            "emitted again without harm."
        )
        raise PostgresUnavailableError(
            f"{error}. Whether the signal is stored is not known. {advice}"
        ) from error.__cause__
