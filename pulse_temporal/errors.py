"""All errors that Pulse raises, in one tree; the reference page draws it.

``code`` is stable and may be stored, compared and documented; ``retryable`` says whether
the same call can succeed later without a change by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from typing_extensions import override


class PulseError(Exception):
    """Root of all errors that Pulse raises on purpose.

    Attributes:
        code: Stable identifier in snake_case.
        retryable: The same call may succeed later, unchanged.
    """

    code: ClassVar[str] = "pulse"
    retryable: ClassVar[bool] = False

    @override
    def __reduce__(self) -> tuple[object, ...]:
        """Return what pickle and copy need to restore the error without calling ``__init__``.

        Python would call ``__init__`` with ``args``, but ours, and those of subclasses in
        applications, take other arguments. An error that cannot be restored breaks the process
        pool that it was raised in (``tests/unit/test_errors.py``).
        """
        return _restore, (type(self), self.args), dict(vars(self))


def _restore(kind: type[PulseError], args: tuple[object, ...]) -> PulseError:
    """Return an error of this class with these ``args``; pickle then adds the attributes."""
    return kind.__new__(kind, *args)


class ConfigurationError(PulseError):
    """An option or a setting is wrong, or calls came in the wrong order."""

    code: ClassVar[str] = "configuration"


class MissingRightError(ConfigurationError):
    """The database role lacks a right that Pulse needs; docs/operate/roles.md lists them."""

    code: ClassVar[str] = "missing_right"


class EmbeddedServiceError(ConfigurationError):
    """An embedded Postgres or Temporal server is missing or did not become ready."""

    code: ClassVar[str] = "embedded_service"


class InvalidInputError(PulseError):
    """The caller sent something that can never be accepted as it is."""

    code: ClassVar[str] = "invalid_input"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a definition.

    Attributes:
        pointer: JSON pointer (RFC 6901) into the input, in the spelling that the caller used.
        message: What is wrong and what would be accepted.
        hint: A suggestion such as ``Did you mean "send_alert"?``; None when there is none.
    """

    pointer: str
    message: str
    hint: str | None = None

    @override
    def __str__(self) -> str:
        """Return the problem as one line."""
        text = f"{self.pointer or '/'}: {self.message}"
        return f"{text}. {self.hint}" if self.hint else text


class DefinitionError(InvalidInputError):
    """A definition breaks rules; nothing was stored. ``problems`` has all, in document order."""

    code: ClassVar[str] = "definition_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__(f"The definition has {len(self.problems)} {noun}:\n{lines}")


class JsonValueError(InvalidInputError):
    """A value lies outside the canonical JSON that Pulse stores.

    Canonical JSON: depth of at most 64, integers of 64 bits, finite numbers, neither NUL
    nor lone surrogates, and a size limit that depends on the field.

    Attributes:
        where: The field, for example ``payload``.
        pointer: JSON pointer to the offending value inside the field.
    """

    code: ClassVar[str] = "json_value"

    def __init__(self, where: str, pointer: str, message: str) -> None:
        self.where = where
        self.pointer = pointer
        super().__init__(f"{where}{pointer}: {message}")


class SignalError(InvalidInputError):
    """A signal was refused; nothing was stored.

    Attributes:
        index: Its place in the list that ``emit_many`` was given, from 0; None for ``emit``.
    """

    code: ClassVar[str] = "signal"

    def __init__(self, message: str, *, index: int | None = None) -> None:
        self.index = index
        super().__init__(message)


class UnknownSignalError(SignalError):
    """The signal's type was never registered in this process."""

    code: ClassVar[str] = "signal_unknown"


class SignalMismatchError(SignalError):
    """The signal's source or resource type differs from the registered one."""

    code: ClassVar[str] = "signal_mismatch"


class PayloadError(SignalError):
    """The payload does not fit the schema registered for its type."""

    code: ClassVar[str] = "payload"


class SignalLimitError(SignalError):
    """The signal would start more runs, or runs with more steps, than one signal may.

    Attributes:
        limit: Its bound, ``limits.runs_per_signal`` or ``limits.steps_per_signal``.
    """

    code: ClassVar[str] = "signal_limit"

    def __init__(self, message: str, *, limit: str, index: int | None = None) -> None:
        self.limit = limit
        super().__init__(message, index=index)


class IdempotencyConflictError(SignalError):
    """The tenant used this idempotency key before with other content.

    Attributes:
        trigger_id: The trigger, or the bulk operation, that the key belongs to.
    """

    code: ClassVar[str] = "idempotency_conflict"

    def __init__(self, message: str, *, trigger_id: str, index: int | None = None) -> None:
        self.trigger_id = trigger_id
        super().__init__(message, index=index)


class NotFoundError(PulseError):
    """There is no such run, trigger or definition for this caller."""

    code: ClassVar[str] = "not_found"


class DefinitionConflictError(PulseError):
    """A definition is not as the caller expects, or another one has its key; nothing was changed.

    Attributes:
        definition_id: The definition that conflicts; None when it is not known.
        current_version: Its version now; None when it is not known.
    """

    code: ClassVar[str] = "definition_conflict"

    def __init__(
        self, message: str, *, definition_id: str | None = None, current_version: int | None = None
    ) -> None:
        self.definition_id = definition_id
        self.current_version = current_version
        super().__init__(message)


class CredentialError(PulseError):
    """A token is none of ours: it is misspelt, or its key was never made."""

    code: ClassVar[str] = "token_invalid"


class KeyExpiredError(CredentialError):
    """An API key was right, and its time is over."""

    code: ClassVar[str] = "token_expired"


class KeyRevokedError(CredentialError):
    """An API key was right, and was taken away."""

    code: ClassVar[str] = "key_revoked"


class KeyRotatedError(PulseError):
    """An API key was rotated before; its successor can be."""

    code: ClassVar[str] = "key_rotated"


class PulseTimeoutError(PulseError, TimeoutError):
    """The caller's time limit passed first; the message says how far things have come."""

    code: ClassVar[str] = "timeout"
    retryable: ClassVar[bool] = True


class RunError(PulseError):
    """A run cannot do what was asked."""

    code: ClassVar[str] = "run"


class RunTransitionError(RunError):
    """The run's status does not allow what was asked, such as to cancel a completed run."""

    code: ClassVar[str] = "run_transition"


class RunConflictError(RunError):
    """Another caller changed the run at the same moment; read it again."""

    code: ClassVar[str] = "run_conflict"


class BulkOverError(PulseError):
    """A bulk operation is completed, and cannot be aborted any more."""

    code: ClassVar[str] = "bulk_over"


class HandlerError(PulseError):
    """Root of the errors about action and condition handlers."""

    code: ClassVar[str] = "handler"


class DuplicateHandlerError(HandlerError):
    """A handler or a signal type of this name is already registered."""

    code: ClassVar[str] = "handler_duplicate"


class NonRetryableError(HandlerError):
    """Raise it in a handler to fail the step at once, without another attempt."""

    code: ClassVar[str] = "non_retryable"


class RetryAfterError(HandlerError):
    """Raise it in a handler to postpone the next attempt.

    Attributes:
        retry_after: Shortest time until the next attempt; replaces the policy's backoff.
    """

    code: ClassVar[str] = "retry_after"

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ActionFailedError(HandlerError):
    """An action returned ``success=False``."""

    code: ClassVar[str] = "action_failed"


class HandlerResultError(HandlerError):
    """A handler returned something that cannot be stored; no further attempt is made."""

    code: ClassVar[str] = "handler_result"


class EmitNotAwaitedError(HandlerError):
    """A handler has returned without awaiting a ``ctx.emit``; no further attempt is made."""

    code: ClassVar[str] = "emit_not_awaited"


class HandlerTimeoutError(HandlerError):
    """An attempt took longer than its ``timeout_ms``."""

    code: ClassVar[str] = "handler_timeout"


class WorkerLostError(HandlerError):
    """So many workers died while they ran this step that it is given up."""

    code: ClassVar[str] = "worker_lost"


class StoreError(PulseError):
    """Root of the errors about Postgres and Pulse's tables in it."""

    code: ClassVar[str] = "store"


class PostgresUnavailableError(StoreError):
    """Postgres did not answer within the limit."""

    code: ClassVar[str] = "postgres_unavailable"
    retryable: ClassVar[bool] = True


class TransactionInDoubtError(PostgresUnavailableError):
    """The connection broke during a commit that may have succeeded; a repeat could do it twice."""

    code: ClassVar[str] = "transaction_in_doubt"
    retryable: ClassVar[bool] = False


class TransactionFailedError(StoreError):
    """A transaction did not commit: a statement or a deferred constraint failed."""

    code: ClassVar[str] = "transaction_failed"


class TransactionConflictError(StoreError):
    """Postgres rolled back because of another transaction (40001, 40P01); nothing was stored."""

    code: ClassVar[str] = "transaction_conflict"
    retryable: ClassVar[bool] = True


class TransactionEndedError(TransactionFailedError):
    """The borrower of a transaction ended it; writes before a COMMIT of its own are kept."""

    code: ClassVar[str] = "transaction_ended"


class EmitBusyError(StoreError):
    """Another transaction that is still open has used the same idempotency key; try again."""

    code: ClassVar[str] = "emit_busy"
    retryable: ClassVar[bool] = True


class NotUnderstoodError(StoreError):
    """A newer release wrote a stored definition with parts that this one does not know."""

    code: ClassVar[str] = "not_understood"
    retryable: ClassVar[bool] = True


class SchemaError(StoreError):
    """The tables are missing, or of a version that this release does not know."""

    code: ClassVar[str] = "schema"


class MigrationError(StoreError):
    """A migration cannot be applied."""

    code: ClassVar[str] = "migration"


class TemporalUnavailableError(PulseError):
    """Temporal did not answer within the limit."""

    code: ClassVar[str] = "temporal_unavailable"
    retryable: ClassVar[bool] = True


class FailpointError(PulseError):
    """A failpoint was reached that ``PULSE_FAILPOINTS`` has armed with ``raise``.

    It stands for a failure there that the process survives, such as an outage of Postgres.
    """

    code: ClassVar[str] = "failpoint"
    retryable: ClassVar[bool] = True
