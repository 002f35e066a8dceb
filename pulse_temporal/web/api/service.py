"""Puts the API together: its routes, what every request passes, and how errors look."""

from __future__ import annotations

import logging
import re

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from pulse_temporal.errors import NotFoundError, Problem, PulseError
from pulse_temporal.web.api import (
    bulk,
    catalog,
    definitions,
    keys,
    operate,
    runs,
    signals,
    streams,
    versions,
)
from pulse_temporal.web.api.documents import document_of, register
from pulse_temporal.web.api.operations import Operation
from pulse_temporal.web.api.problems import (
    BROKEN,
    FORBIDDEN,
    INTERNAL,
    TOO_MANY,
    UNKNOWN,
    FieldsError,
    RefusedError,
    problem,
    problems_of,
    refusal_of,
)
from pulse_temporal.web.asked import Site
from pulse_temporal.web.guard.identity import (
    InsteadError,
    ScopeMissingError,
    UnknownPrincipalError,
)
from pulse_temporal.web.topics import TooManyStreamsError

log: logging.Logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[!-~]{1,100}")
STREAM_RETRY_SECONDS = "5"
IS_HEAD = "pulse.is_head"
IS_TOLD = "pulse.is_told"

OPERATIONS: tuple[Operation, ...] = (
    *keys.me_routes.operations,
    *signals.routes.operations,
    *streams.routes.operations,  # /runs/stream before /runs/{run_id}
    *runs.routes.operations,
    *definitions.routes.operations,
    *versions.routes.operations,
    *bulk.routes.operations,
    *catalog.routes.operations,
    *keys.routes.operations,
    *keys.audit_routes.operations,
    *operate.routes.operations,
    *operate.search_routes.operations,
)
"""All of the API. A new resource makes ``Routes`` in a module of its own, and stands here."""


def api_of(site: Site) -> ASGIApp:
    """Return the API as an ASGI application, to be mounted at ``/api/v1``."""
    return Envelope(_app(site))


def openapi() -> dict[str, object]:
    """Return the OpenAPI document of the API."""
    return document_of(_app(None), OPERATIONS)


def _app(site: Site | None) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.site = site
    for operation in OPERATIONS:
        register(app, operation)
    for kind in (PulseError, RefusedError, HTTPException, RequestValidationError, *_REFUSALS):
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(Exception, _fail)
    return app


class Envelope:
    """Names each request, and answers HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else f"req_{uuid7().hex}"
        is_head = scope["method"] == "HEAD"
        state = {**scope.get("state", {}), "request_id": request_id}
        inner = {**scope, "state": state, IS_HEAD: is_head}
        if is_head:
            inner["method"] = "GET"

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(inner, receive, send_named)
        except Exception:
            if not state.get(IS_TOLD):  # a stream that breaks, for example
                raise


_REFUSALS: tuple[type[Exception], ...] = (
    UnknownPrincipalError,
    InsteadError,
    ScopeMissingError,
    TooManyStreamsError,
)


async def _refuse(request: Request, error: Exception) -> Response:
    """Return the answer to a request that has raised an error."""
    request_id: str = request.state.request_id
    match error:
        case RefusedError():
            return problem(request_id, error)
        case PulseError():
            refusal = refusal_of(error)
            if refusal.status == BROKEN:
                facts = {"request_id": request_id, "error": str(error)}
                log.error("Request %(request_id)s failed: %(error)s", facts, extra=facts)
            return problem(request_id, refusal, problems=problems_of(error))
        case RequestValidationError():
            return _refuse_parameters(request_id, error)
        case HTTPException():
            return problem(request_id, _http(request, error))
        case _:
            return problem(request_id, _guarded(error))


async def _fail(request: Request, error: Exception) -> Response:
    """Answer a request that has met an error that nobody has foreseen; the log has it."""
    request_id: str = request.state.request_id
    facts = {"request_id": request_id}
    request.scope["state"][IS_TOLD] = True  # so that it is not raised to the server too
    if isinstance(error, ClientDisconnect):  # nobody is there to be answered
        return Response(status_code=BROKEN)
    log.error("Request %(request_id)s could not be answered.", facts, extra=facts, exc_info=error)
    return problem(request_id, RefusedError(BROKEN, "internal", INTERNAL))


def _refuse_parameters(request_id: str, error: RequestValidationError) -> Response:
    """Refuse what is wrong in the path, such as a version that is no number."""
    found = [Problem(f"/{each['loc'][-1]}", each["msg"]) for each in error.errors()]
    refused = FieldsError(found)
    return problem(request_id, refusal_of(refused), problems=refused.problems)


def _guarded(error: Exception) -> RefusedError:
    """Return what the guard's errors are told as."""
    match error:
        case ScopeMissingError():
            return RefusedError(FORBIDDEN, "scope_missing", str(error))
        case TooManyStreamsError():
            retry = {"retry-after": STREAM_RETRY_SECONDS}
            return RefusedError(TOO_MANY, "too_many_streams", str(error), headers=retry)
        case _:
            detail = "Show an API key: Authorization: Bearer pulse_sk_…"
            return RefusedError(
                UNKNOWN, "token_missing", detail, headers={"www-authenticate": "Bearer"}
            )


def _http(request: Request, error: HTTPException) -> RefusedError:
    """Return what the router's errors are told as."""
    allowed = _allowed(request)
    if allowed:
        detail = f"This address knows {', '.join(allowed)}."
        return RefusedError(405, "method", detail, headers={"allow": ", ".join(allowed)})
    if error.status_code < BROKEN and error.status_code != 404:  # noqa: PLR2004 - an absent route
        return RefusedError(error.status_code, "malformed", "The request was not understood.")
    return refusal_of(NotFoundError())


def _allowed(request: Request) -> list[str]:
    """Return the methods that an address knows, of all its routes."""
    found: set[str] = set()
    for route in request.app.router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
