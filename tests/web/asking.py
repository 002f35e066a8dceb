"""Ask an ASGI application without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from starlette.types import ASGIApp, Message


class Answer(NamedTuple):
    """What an application has answered."""

    status: int
    headers: dict[str, str]
    text: str


async def ask(  # noqa: PLR0913 - parts of a request, given by name
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    client: str = "127.0.0.1",
    scheme: str = "http",
) -> Answer:
    """Ask for a page; without other headers, as a browser of this machine asks."""
    plain, _, query = path.partition("?")
    given = {"host": "localhost", "sec-fetch-site": "same-origin", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": unquote(plain),
        "raw_path": plain.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent: list[Message] = []

    asked: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not asked:
            await asyncio.Event().wait()  # the client stays
        return asked.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    text = b"".join(message.get("body", b"") for message in sent[1:])
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], found, text.decode())
