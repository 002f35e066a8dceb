"""The cookie of a session: where it may be set, and what guards it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pulse_temporal.web.guard.hosts import is_loopback, name_of

SECURE_NAME = "__Host-pulse"
"""A browser takes it by TLS alone, and from no other host of the domain."""

LOOPBACK_NAME = "pulse_dev"
"""On this machine without TLS."""

MOST_SECONDS = 12 * 60 * 60


def cookie_name(request: Request) -> str | None:
    """Return the name of the cookie; None where a session would travel in the clear."""
    if request.url.scheme == "https":
        return SECURE_NAME
    return LOOPBACK_NAME if is_loopback(name_of(request.headers.get("host", ""))) else None


def session_token(request: Request) -> str | None:
    """Return the token that a request's cookie holds."""
    name = cookie_name(request)
    return request.cookies.get(name) if name else None


def keep_session(request: Request, response: Response, token: str) -> None:
    """Let the browser keep a session."""
    _set(request, response, token, seconds=MOST_SECONDS)


def forget_session(request: Request, response: Response) -> None:
    """Let the browser forget its session."""
    _set(request, response, "", seconds=0)


def _set(request: Request, response: Response, token: str, *, seconds: int) -> None:
    name = cookie_name(request)
    if name is not None:
        response.set_cookie(
            name,
            token,
            max_age=seconds,
            path="/",  # what a name with __Host- demands
            secure=name == SECURE_NAME,
            httponly=True,
            samesite="lax",
        )
