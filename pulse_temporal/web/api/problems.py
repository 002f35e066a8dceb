"""What a request that is refused is answered: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from pydantic import Field
from starlette.responses import JSONResponse

from pulse_temporal import errors
from pulse_temporal.errors import PulseError
from pulse_temporal.model.values import Value

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2

MALFORMED, UNKNOWN, FORBIDDEN, ABSENT, CONFLICT = 400, 401, 403, 404, 409
DIFFERS, UNACCEPTABLE, TOO_MANY, BROKEN, AWAY = 412, 422, 429, 500, 503

STATUSES: Mapping[type[PulseError], int] = {
    errors.PulseError: BROKEN,
    errors.ConfigurationError: BROKEN,
    errors.MissingRightError: BROKEN,
    errors.EmbeddedServiceError: BROKEN,
    errors.InvalidInputError: UNACCEPTABLE,
    errors.DefinitionError: UNACCEPTABLE,
    errors.JsonValueError: UNACCEPTABLE,
    errors.SignalError: UNACCEPTABLE,
    errors.UnknownSignalError: UNACCEPTABLE,
    errors.SignalMismatchError: UNACCEPTABLE,
    errors.PayloadError: UNACCEPTABLE,
    errors.SignalLimitError: UNACCEPTABLE,
    errors.IdempotencyConflictError: UNACCEPTABLE,
    errors.NotFoundError: ABSENT,
    errors.DefinitionConflictError: CONFLICT,
    errors.CredentialError: UNKNOWN,
    errors.KeyExpiredError: UNKNOWN,
    errors.KeyRevokedError: UNKNOWN,
    errors.KeyRotatedError: CONFLICT,
    errors.PulseTimeoutError: AWAY,
    errors.RunError: CONFLICT,
    errors.RunTransitionError: CONFLICT,
    errors.RunConflictError: CONFLICT,
    errors.BulkOverError: CONFLICT,
    errors.HandlerError: BROKEN,
    errors.DuplicateHandlerError: BROKEN,
    errors.NonRetryableError: BROKEN,
    errors.RetryAfterError: BROKEN,
    errors.ActionFailedError: BROKEN,
    errors.HandlerResultError: BROKEN,
    errors.EmitNotAwaitedError: BROKEN,
    errors.HandlerTimeoutError: BROKEN,
    errors.WorkerLostError: BROKEN,
    errors.StoreError: BROKEN,
    errors.PostgresUnavailableError: AWAY,
    errors.TransactionInDoubtError: AWAY,
    errors.TransactionFailedError: BROKEN,
    errors.TransactionConflictError: AWAY,
    errors.TransactionEndedError: BROKEN,
    errors.EmitBusyError: CONFLICT,
    errors.NotUnderstoodError: AWAY,
    errors.SchemaError: AWAY,
    errors.MigrationError: BROKEN,
    errors.TemporalUnavailableError: AWAY,
    errors.FailpointError: BROKEN,
}
"""The status of each error of the library. 500 is ``internal``, and says nothing of the error."""

NOT_FOUND = "There is nothing at this address, or it is not for you to see."
INTERNAL = "The server could not answer; its log says why, under this request's id."
SPOKEN = frozenset({UNKNOWN, FORBIDDEN, CONFLICT, UNACCEPTABLE})
"""Statuses whose detail is what the error says; other errors may name hosts or ids."""

DETAILS = {
    ABSENT: NOT_FOUND,
    BROKEN: INTERNAL,
    AWAY: "A server that Pulse stands on does not answer. Ask again.",
}

TITLES = {413: "Content Too Large", UNACCEPTABLE: "Unprocessable Content"}


class FieldProblem(Value):
    """One thing that is wrong with what was sent.

    Attributes:
        pointer: JSON pointer into the body, or the name of a parameter after ``/``.
        message: What is wrong and what would be accepted.
        hint: A suggestion; None when there is none.
    """

    pointer: str
    message: str
    hint: str | None = None


class ProblemDetails(Value):
    """Why a request was refused.

    Attributes:
        type: ``urn:pulse-temporal:error:`` and the code.
        title: The status in words.
        status: Of the answer.
        code: Stable; docs/reference/rest.md lists all.
        detail: What happened.
        problems: What is wrong with the input, where there are several things or places.
        request_id: As the header ``X-Request-Id`` has it; the audit and the log have it too.
    """

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    code: str
    detail: str
    problems: tuple[FieldProblem, ...] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    request_id: str


class RefusedError(Exception):
    """A request is refused for a reason that only HTTP knows.

    Attributes:
        status: Of the answer.
        code: Of the problem.
        headers: More of the answer.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}


class FieldsError(errors.InvalidInputError):
    """Fields of a request are wrong.

    Attributes:
        problems: All of them.
    """

    def __init__(self, problems: Sequence[errors.Problem]) -> None:
        self.problems: tuple[errors.Problem, ...] = tuple(problems)
        super().__init__("; ".join(map(str, problems)))


def problem(
    request_id: str,
    refusal: RefusedError,
    *,
    problems: Sequence[errors.Problem] | None = None,
) -> JSONResponse:
    """Return the answer to a request that is refused."""
    title = TITLES.get(refusal.status) or HTTPStatus(refusal.status).phrase
    details = ProblemDetails(
        type=f"urn:pulse-temporal:error:{refusal.code}",
        title=title,
        status=refusal.status,
        code=refusal.code,
        detail=str(refusal),
        problems=None
        if problems is None
        else tuple(
            FieldProblem(pointer=each.pointer, message=each.message, hint=each.hint)
            for each in problems
        ),
        request_id=request_id,
    )
    return JSONResponse(
        details.model_dump(mode="json"),
        refusal.status,
        headers=dict(refusal.headers),
        media_type=MEDIA_TYPE,
    )


def status_of(error: PulseError) -> int:
    """Return the status of an error; one that an application has derived has that of its base."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def refusal_of(error: PulseError) -> RefusedError:
    """Return how an error of the library is told to a client."""
    status = status_of(error)
    code = "internal" if status == BROKEN else error.code
    detail = str(error) if status in SPOKEN else DETAILS[status]
    if isinstance(error, errors.TransactionInDoubtError):
        detail = "It is not known whether this was done. Look before you ask again."
        return RefusedError(status, code, detail)
    headers: dict[str, str] = {}
    if status == UNKNOWN:
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    if error.retryable:
        headers["retry-after"] = str(RETRY_SECONDS)
    return RefusedError(status, code, detail, headers=headers)


def problems_of(error: PulseError) -> Sequence[errors.Problem] | None:
    """Return what is wrong with the input, where an error knows the places."""
    match error:
        case FieldsError() | errors.DefinitionError():
            return error.problems
        case errors.JsonValueError():
            return (errors.Problem(f"/{error.where}{error.pointer}", str(error)),)
        case errors.SignalError(index=int() as index):
            return (errors.Problem(f"/signals/{index}", str(error)),)
        case _:
            return None
