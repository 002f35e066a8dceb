"""What every request passes: its host, where it comes from, and the headers of its answer.

Plain ASGI, as anything that reads a whole answer would hold up the streams.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pulse_temporal.web.guard.hosts import ANY, is_loopback, name_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

ANSWER_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Door:
    """Lets requests in that were meant for this server and do not come from another site.

    Args:
        app: What they are for.
        hosts: Host names beside those of the loopback device; ``*`` among them: any.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ANSWER_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._wrong_host(headers) or _foreign(scope, headers)
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, send_guarded)

    def _wrong_host(self, headers: Headers) -> PlainTextResponse | None:
        """Refuse a name that is not ours: it may be made to lead here by another site's DNS."""
        name = name_of(headers.get("host", ""))
        if is_loopback(name) or name in self._hosts or ANY in self._hosts:
            return None
        return PlainTextResponse(
            "This server does not answer for the host that was asked for. "
            "PULSE_WEB_HOSTS names those that it answers for.\n",
            status_code=421,
        )


def _foreign(scope: Scope, headers: Headers) -> PlainTextResponse | None:
    """Refuse a change that a page of another site asks for with this browser's credentials."""
    is_bearer = headers.get("authorization", "").lower().startswith("bearer ")
    if scope["method"] in SAFE_METHODS or is_bearer:
        return None
    site = headers.get("sec-fetch-site")
    if _is_api(scope) and site is None and "origin" not in headers and "cookie" not in headers:
        return None  # a program; browsers say where a change comes from
    if site is not None:
        is_own = site == "same-origin"
    else:
        is_own = headers.get("origin", "").partition("://")[2] == headers.get("host", "-")
    if is_own:
        return None
    return PlainTextResponse("A change must be asked for by a page of this site.\n", 403)


def _is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root).startswith("/api/")
