"""A TCP proxy that a test puts before a server, to be cut, silenced or slowed down."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

LOCALHOST = "127.0.0.1"
PIECE_BYTES = 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with no time to linger: closing sends RST instead of FIN."""

Mode = Literal["pass", "down", "black hole", "no replies", "no ends"]


@dataclass(frozen=True, slots=True)
class Latency:
    """What each piece of data waits, each way.

    Attributes:
        seconds: At least so long.
        jitter_seconds: Up to so much longer, a new random share for each piece.
    """

    seconds: float = 0.0
    jitter_seconds: float = 0.0


class TcpProxy:
    """Passes connections on to a server, until it is told to do worse.

    The modes, for old and new connections alike:

    ``pass``        everything arrives, after the latency
    ``down``        old connections are reset, new ones refused, as by a machine without the server
    ``black hole``  connections are accepted and stay open; what either side sends is held back
    ``no replies``  what clients send arrives; what the server answers is held back
    ``no ends``     data arrives, but neither side learns that the other one has closed

    What was held back is delivered when the mode is ``pass`` again, as TCP would send it again;
    after a ``cut`` it is lost.

    ```python
    async with TcpProxy(server_port) as proxy:
        ...                                   # clients use proxy.port
        await proxy.become("no replies")      # the server acts, nobody learns of it
        proxy.cut()                           # every connection breaks
        await proxy.become("pass")
    ```

    Args:
        server: Its port on 127.0.0.1, or its Unix socket; it may be away, and come back.
        chance: Of the jitter.

    Attributes:
        port: Where clients connect; the same through all modes.
        latency: Of whatever is passed on from now on.
        accepted: Connections so far.
        answer_bytes: What has been passed on to clients so far.
    """

    def __init__(self, server: int | Path, *, chance: random.Random | None = None) -> None:
        self.server = server
        self.port = 0
        self.latency = Latency()
        self.accepted = 0
        self.answer_bytes = 0
        self._chance = chance or random.Random(0)  # noqa: S311 - no secret
        self._mode: Mode = "down"
        self._may_ask = asyncio.Event()
        self._may_answer = asyncio.Event()
        self._may_end = asyncio.Event()
        self._links: set[Link] = set()
        self._stack = ExitStack()
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Accept connections."""
        self.port = self._stack.enter_context(reserved_port())
        await self.become("pass")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Break all connections and accept no more."""
        works = [link.work for link in self._links if link.work is not None]
        await self.become("down")
        await asyncio.gather(*works, return_exceptions=True)
        self._stack.close()

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"{LOCALHOST}:{self.port}"

    @property
    def mode(self) -> Mode:
        """What it does at present."""
        return self._mode

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._links)

    async def become(self, mode: Mode) -> None:
        """Do something else from now on."""
        self._mode = mode
        _set(self._may_ask, mode in ("pass", "no replies", "no ends"))
        _set(self._may_answer, mode in ("pass", "no ends"))
        _set(self._may_end, mode == "pass")
        if mode == "down":
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.close()
            self.cut()
        elif self._listener is None:
            self._listener = await asyncio.start_server(self._serve, LOCALHOST, self.port)

    def cut(self) -> int:
        """Reset every connection there is; give how many. New ones are served as before."""
        links = list(self._links)
        for link in links:
            link.cut()
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client with the server until either of them goes."""
        self.accepted += 1
        link = Link(writer)
        self._links.add(link)
        link.work = asyncio.ensure_future(self._join(link, reader))
        with suppress(asyncio.CancelledError):
            await link.work
        self._links.discard(link)

    async def _join(self, link: Link, questions: asyncio.StreamReader) -> None:
        await self._may_ask.wait()
        try:
            answers, link.server = await self._connect()
        except OSError:  # the server is away
            link.cut()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(questions, link.server, self._may_ask))
                group.create_task(self._pump(answers, link.client, self._may_answer))
        except* OSError:  # one side broke; the other learns of it
            link.cut()
        else:
            link.client.close()
            link.server.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.server, Path):
            return await asyncio.open_unix_connection(self.server)
        return await asyncio.open_connection(LOCALHOST, self.server)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        """Pass on what one side sends, as the mode allows, up to its end."""
        while piece := await source.read(PIECE_BYTES):
            latency = self.latency
            await asyncio.sleep(latency.seconds + latency.jitter_seconds * self._chance.random())
            await gate.wait()
            target.write(piece)
            if gate is self._may_answer:
                self.answer_bytes += len(piece)
            await target.drain()
        await self._may_end.wait()
        target.write_eof()


class Link:
    """One client's connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.work: asyncio.Future[None] | None = None

    def cut(self) -> None:
        """Break both ends at once, with a reset."""
        for writer in (self.client, self.server):
            if writer is not None and not writer.transport.is_closing():
                plug: socket.socket = writer.get_extra_info("socket")
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                writer.transport.abort()
        if self.work is not None:
            self.work.cancel()


def _set(gate: asyncio.Event, is_open: bool) -> None:
    if is_open:
        gate.set()
    else:
        gate.clear()


@contextmanager
def reserved_port() -> Generator[int]:
    """Find a port of 127.0.0.1 that inside the block nobody else is given.

    A server may listen there, go and come back: its port is bound all the time, by a socket that
    never listens and so refuses connections. Servers that set ``SO_REUSEADDR``, as all do that
    restart at once, are not in its way.
    """
    with socket.socket() as placeholder:
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        placeholder.bind((LOCALHOST, 0))
        yield placeholder.getsockname()[1]
