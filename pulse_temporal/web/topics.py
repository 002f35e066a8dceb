"""Streams of what changes on a page, made once for all who look at the same.

A topic has a picture of what its page shows. A viewer is sent what differs between the picture
that it has and the newest one, so it may be slow, or come back after its server was restarted.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing, suppress

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import PulseError
from pulse_temporal.web.guard.principal import Principal
from pulse_temporal.web.options import WebOptions

log = logging.getLogger(__name__)

LINE_BREAK = re.compile("\r\n|\r|\n")
"""What ends a line of a stream; no other character does."""

SHORTEST_PAUSE_SECONDS = 0.1
"""A viewer is sent at most ten messages a second."""

SIGN_OF_LIFE_SECONDS = 15.0

STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class TooManyStreamsError(Exception):
    """No more pages can change by themselves here."""


class Picture(ABC):
    """What a page shows at a moment."""

    name: str
    """Names it; a page that shows the same has the same name, in any process."""

    @abstractmethod
    def whole(self) -> str:
        """Return the parts of the page that change, as HTML that replaces them."""

    @abstractmethod
    def since(self, seen: Picture) -> str:
        """Return what replaces the parts that differ from an earlier picture."""


class Topic(ABC):
    """Keeps the picture of one page while somebody looks at it."""

    def __init__(self) -> None:
        self.viewers = 0
        self.is_over = False
        self._picture: Picture | None = None
        self._changed = asyncio.Event()
        self._keeper: asyncio.Future[None] | None = None

    @abstractmethod
    async def keep(self) -> None:
        """Call ``show`` with each new picture, until canceled, or until nothing can come."""

    def show(self, picture: Picture) -> None:
        """Make this the newest picture."""
        if self._picture is None or picture.name != self._picture.name:
            self._picture = picture
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Tell all viewers that nothing comes any more."""
        self.is_over = True
        self._wake()

    def enter(self) -> None:
        """Count a viewer in; the first one has the picture kept."""
        self.viewers += 1
        if self._keeper is None:
            self._keeper = asyncio.ensure_future(self._keep())

    async def leave(self) -> None:
        """Count a viewer out; without any, nothing is asked any more."""
        self.viewers -= 1
        if not self.viewers and self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({self._keeper})

    async def _keep(self) -> None:
        try:
            await self.keep()
        except PulseError as error:  # the viewers come back, after growing pauses
            facts = {"error": str(error)}
            log.info("A page that changes by itself has ended: %(error)s", facts, extra=facts)
        finally:
            self.end()

    async def messages(self, seen: str) -> AsyncGenerator[bytes]:
        """Yield what a viewer is sent.

        Args:
            seen: Name of the picture that the page shows.
        """
        yield _event(f"{utc_now().timestamp() * 1000:.0f}", kind="skew")
        last: Picture | None = None
        while not self.is_over:
            changed, picture = self._changed, self._picture
            if picture is not None and picture is not last:
                html = _difference(picture, last, seen)
                last = picture
                if html:
                    yield _event(html, name=picture.name)
                    await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
                    continue
            try:
                async with asyncio.timeout(SIGN_OF_LIFE_SECONDS):
                    await changed.wait()
            except TimeoutError:
                yield b": still here\n\n"


def _difference(picture: Picture, last: Picture | None, seen: str) -> str:
    if last is not None:
        return picture.since(last)
    return "" if picture.name == seen else picture.whole()


class _Stream(StreamingResponse):
    """Sends messages; when the client goes, however that is noticed, it leaves at once.

    Left to the garbage collector, a stream would count, and be kept, for longer.
    """

    def __init__(self, messages: AsyncGenerator[bytes]) -> None:
        super().__init__(messages, headers=STREAM_HEADERS, media_type="text/event-stream")
        self._messages = messages

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._messages):
            await super().__call__(scope, receive, send)


class Topics:
    """All topics of a process, and how many streams there are.

    Args:
        options: The most streams.
    """

    def __init__(self, options: WebOptions) -> None:
        self._options = options
        self._topics: dict[Hashable, Topic] = {}
        self._streams: Counter[str] = Counter()
        self.is_closed = False

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self._streams.total()

    def stream(
        self, principal: Principal, key: Hashable, make: Callable[[], Topic], *, seen: str
    ) -> StreamingResponse:
        """Return a stream of the changes of a page.

        Args:
            principal: Who looks.
            key: What pages share that show the same.
            make: Makes the topic when nobody looks at it yet.
            seen: Name of the picture that the page shows; empty: none.

        Raises:
            TooManyStreamsError: There are as many as there may be.
        """
        one = self._streams[principal.id]
        most, most_of_one = self._options.most_streams, self._options.most_streams_of_one
        if self.is_closed or one >= most_of_one or self._streams.total() >= most:
            raise TooManyStreamsError("Too many pages are open that change by themselves.")
        messages = self._messages(principal, key, make, seen)
        return _Stream(messages)

    async def _messages(
        self, principal: Principal, key: Hashable, make: Callable[[], Topic], seen: str
    ) -> AsyncGenerator[bytes]:
        topic = self._topics.get(key)
        if topic is None or topic.is_over:
            topic = self._topics[key] = make()
        self._streams[principal.id] += 1
        topic.enter()
        try:
            async for message in topic.messages(seen):
                yield message
        finally:
            self._streams[principal.id] -= 1
            if self._topics.get(key) is topic and topic.viewers == 1:
                del self._topics[key]
            await topic.leave()

    def close(self) -> None:
        """End all streams, so that the server can stop; no new one begins."""
        self.is_closed = True
        for topic in self._topics.values():
            topic.end()


def partial(target: str, html: str) -> str:
    """Return HTML that replaces the element with this id, and keeps focus and open details."""
    return f'<hx-partial hx-target="#{target}" hx-swap="outerMorph">{html}</hx-partial>'


def _event(data: str, *, name: str = "", kind: str = "") -> bytes:
    """Return a server-sent event; every line of its data has a field of its own."""
    lines = [f"id: {name}"] if name else []
    lines += [f"event: {kind}"] if kind else []
    lines += [f"data: {line}" for line in LINE_BREAK.split(data)]
    return "\n".join([*lines, "", ""]).encode()
