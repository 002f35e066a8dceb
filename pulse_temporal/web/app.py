"""Puts the pages together: routes, what every request passes, and how errors look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from pulse_temporal.engine.facade import Engine
from pulse_temporal.errors import (
    BulkOverError,
    CredentialError,
    DefinitionConflictError,
    DefinitionError,
    InvalidInputError,
    NotFoundError,
    NotUnderstoodError,
    PostgresUnavailableError,
    PulseError,
    RunError,
    SchemaError,
    TemporalUnavailableError,
)
from pulse_temporal.web.api.service import api_of, openapi
from pulse_temporal.web.asked import Site, root_of, site_of
from pulse_temporal.web.guard.door import Door
from pulse_temporal.web.guard.identity import (
    Identity,
    InsteadError,
    ScopeMissingError,
    UnknownPrincipalError,
)
from pulse_temporal.web.guard.principal import Authenticate
from pulse_temporal.web.options import WebOptions, web_options
from pulse_temporal.web.pages import (
    bulk,
    crons,
    definition_history,
    definitions,
    failures,
    operate,
    overview,
    places,
    run,
    runs,
    settings,
    sign_in,
    signals,
)
from pulse_temporal.web.redaction import Redact, Redaction
from pulse_temporal.web.render import STATIC, Renderer
from pulse_temporal.web.topics import TooManyStreamsError, Topics

LEAST_GZIPPED_BYTES = 1_024
FOREVER = "public, max-age=31536000, immutable"


class Pages:
    """The pages as an ASGI application.

    Attributes:
        topics: The streams of this process; ``topics.close()`` ends them.
    """

    def __init__(self, app: ASGIApp, topics: Topics, hosts: frozenset[str]) -> None:
        self.topics = topics
        self._app = Door(_Compressed(app), hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)


def asgi(
    engine: Engine,
    *,
    authenticate: Authenticate | None = None,
    redact: Redact | None = None,
    options: WebOptions | None = None,
) -> Pages:
    """Return the pages of an engine, as an application to mount or to serve.

    ```python
    app.mount("/pulse", asgi(engine, authenticate=who_asks))
    ```

    It keeps nothing open of its own, and needs no lifespan: an engine that the host has started,
    or one that is not started, answers alike.

    Args:
        engine: What is shown; whoever has started it stops it.
        authenticate: Tells who asks, without an API key. None: people sign in here; whoever works
            at this machine has all rights without it, unless an option says that they must.
        redact: Called as ``redact(principal, kind, value)`` for each payload, result, config, data
            of a log line and error text that somebody may see, before it leaves; returns what
            they are shown. Where it raises, the value is hidden.
        options: None for what ``PULSE_WEB_<OPTION>`` says.

    Raises:
        ConfigurationError: A variable of the environment is wrong.
    """
    chosen = options or web_options()
    topics = Topics(chosen)
    app = FastAPI(title="Pulse", docs_url=None, redoc_url=None, openapi_url=None)
    identity = Identity(
        authenticate,
        engine.authenticate_api_key,
        engine.authenticate_session,
        needs_sign_in=chosen.needs_sign_in,
    )
    site = Site(engine, chosen, identity, Renderer(chosen), topics, Redaction(redact))
    app.state.site = site
    app.mount("/api/v1", api_of(site))
    app.add_api_route("/openapi.json", _openapi, include_in_schema=False)
    app.mount("/static", _Assets(directory=STATIC), name="static")
    routers = (places.router, places.tenant_router, overview.router, runs.router, run.router)
    routers += (sign_in.router, settings.router, operate.router)
    routers += (definitions.router, definition_history.router, crons.router)
    for router in (*routers, failures.router, signals.router, bulk.router):
        app.include_router(router, include_in_schema=False)
    for kind, answer in ANSWERS.items():
        app.add_exception_handler(kind, answer)
    return Pages(app, topics, chosen.host_names)


async def _openapi() -> JSONResponse:
    """Return the OpenAPI document of the API, which is the same for everybody."""
    return JSONResponse(_document(), headers={"cache-control": "public, max-age=300"})


@cache
def _document() -> dict[str, object]:
    return openapi()


class _Compressed:
    """Compresses answers, but never a stream, whose parts would be held back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, minimum_size=LEAST_GZIPPED_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_stream = scope["type"] == "http" and scope["path"].endswith("/stream")
        await (self._app if is_stream else self._gzip)(scope, receive, send)


class _Assets(StaticFiles):
    """Files that never change under their address: it carries a hash of them."""

    async def get_response(self, path: str, scope: Scope) -> Response:  # pyright: ignore[reportImplicitOverride] - see below
        """Return a file."""
        response = await super().get_response(path, scope)
        if scope.get("query_string"):
            response.headers["cache-control"] = FOREVER
        return response


def _problem(
    request: Request,
    status: int,
    heading: str,
    text: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return a page that says what went wrong, without anything of whom it is about."""
    root = root_of(request)
    html = site_of(request).renderer.html(
        "problem.html",
        root=root,
        base=root,
        tenant="",
        principal=None,
        here="",
        heading=heading,
        text=text,
        back=request.headers.get("referer") if status == CONFLICT else f"{root}/",
        back_text="Go back" if status == CONFLICT else "To the first page",
    )
    return HTMLResponse(html, status, headers)


CONFLICT = 409
RETRY = {"retry-after": "5"}


async def _not_found(request: Request, _error: Exception) -> Response:
    text = "There is nothing at this address, or it is not for you to see."
    return _problem(request, 404, "Not found", text)


async def _wrong_input(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        return await _not_found(request, error)
    return _problem(request, 422, "This cannot be done", str(error))


async def _conflict(request: Request, error: Exception) -> Response:
    return _problem(request, CONFLICT, "This cannot be done", str(error))


async def _unavailable(request: Request, _error: Exception) -> Response:
    text = "A server that Pulse stands on does not answer. Try again in a moment."
    return _problem(request, 503, "Not available", text, headers=RETRY)


async def _unknown(request: Request, error: Exception) -> Response:
    if site_of(request).identity.has_sign_in:
        told = str(error) if isinstance(error, CredentialError) else ""
        return sign_in.sign_in_page(request, told=told, status=401)
    return _problem(request, 401, "Sign in", str(error))


async def _forbidden(request: Request, error: Exception) -> Response:
    return _problem(request, 403, "Not allowed", str(error))


async def _too_many(request: Request, error: Exception) -> Response:
    return _problem(request, 429, "Too many pages", str(error), headers=RETRY)


async def _instead(_request: Request, error: Exception) -> Response:
    if not isinstance(error, InsteadError):
        raise error
    return error.response


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:  # noqa: PLR2004 - the status of a page that is not there
        return await _not_found(request, error)
    return _problem(request, status, "This cannot be done", "The request was not understood.")


async def _failed(request: Request, _error: Exception) -> Response:
    text = "The server could not make this page; its log says why."
    return _problem(request, 500, "Something is broken", text)


ANSWERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    NotFoundError: _not_found,
    InvalidInputError: _wrong_input,
    RequestValidationError: _wrong_input,
    RunError: _conflict,
    BulkOverError: _conflict,
    DefinitionConflictError: _conflict,
    DefinitionError: _wrong_input,
    NotUnderstoodError: _conflict,
    PostgresUnavailableError: _unavailable,
    TemporalUnavailableError: _unavailable,
    SchemaError: _unavailable,
    PulseError: _failed,
    CredentialError: _unknown,
    UnknownPrincipalError: _unknown,
    ScopeMissingError: _forbidden,
    TooManyStreamsError: _too_many,
    InsteadError: _instead,
    HTTPException: _http,
    Exception: _failed,
}
