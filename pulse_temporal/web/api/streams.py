"""Streams of the API: how things stand, as JSON, again after each change."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue
from starlette.responses import Response
from typing_extensions import override

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES, ExecutionLog
from pulse_temporal.model.views import RunSummary, RunView
from pulse_temporal.web.api.asking import Ask, Asking, found_or_404
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.runs import run_filter
from pulse_temporal.web.api.shapes import RunsQuery
from pulse_temporal.web.topics import (
    SHORTEST_PAUSE_SECONDS,
    SIGN_OF_LIFE_SECONDS,
    STREAM_HEADERS,
    Picture,
    Topic,
)

AGAIN_SECONDS = 1.0
ROWS = 50
EVENT_STREAM = "text/event-stream"

routes = Routes("runs")

Event = tuple[str, str, JsonValue]
"""Kind, what it is about, and how that stands."""


@dataclass(frozen=True)
class States(Picture):
    """How things stand at a moment.

    Attributes:
        events: In order.
        is_last: Nothing comes after it.
    """

    name: str
    events: tuple[Event, ...]
    is_last: bool = False

    @override
    def whole(self) -> str:
        return "".join(self.texts())

    @override
    def since(self, seen: Picture) -> str:
        return "".join(self.texts_since(seen))

    def texts(self) -> list[str]:
        """Return all events as a stream has them."""
        return [*map(_text, self.events)]

    def texts_since(self, seen: Picture) -> list[str]:
        """Return the events that differ from an earlier picture."""
        old = set(seen.texts()) if isinstance(seen, States) else set[str]()
        return [text for text in self.texts() if text not in old]


def states(events: tuple[Event, ...], *, is_last: bool = False) -> States:
    """Return how things stand, named by it."""
    text = json.dumps(events, ensure_ascii=False)
    name = hashlib.blake2s(text.encode(errors="replace"), digest_size=8).hexdigest()
    return States(name, events, is_last)


def _text(event: Event) -> str:
    """Return an event as a stream has it."""
    kind, _, value = event
    return f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


class StatesTopic(Topic):
    """Sends how things stand, and then what of it is new."""

    @override
    async def messages(self, seen: str) -> AsyncGenerator[bytes]:
        last: States | None = None
        while True:
            changed, picture, is_over = self._changed, self._picture, self.is_over
            if isinstance(picture, States) and picture is not last:
                yield _message(picture, last, seen)
                last = picture
                if picture.is_last:
                    yield b"event: end\ndata: {}\n\n"
                    return
                await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
                continue
            if is_over:
                return
            try:
                async with asyncio.timeout(SIGN_OF_LIFE_SECONDS):
                    await changed.wait()
            except TimeoutError:
                yield b": still here\n\n"


def _message(picture: States, last: States | None, seen: str) -> bytes:
    """Return what a client is sent; after it, the client knows the picture by its name."""
    if last is not None:
        texts = picture.texts_since(last)
    else:
        texts = [] if picture.name == seen else picture.texts()
    if not texts:
        return b": nothing new\n\n"
    # The id comes with the last event: whoever was cut before it is sent everything again.
    texts[-1] = f"id: {picture.name}\n{texts[-1]}"
    return "".join(texts).encode(errors="replace")


class RunStates(StatesTopic):
    """How a run stands: the run, its steps, its log."""

    def __init__(self, call: Asking, run_id: str) -> None:
        super().__init__()
        self._call = call
        self._run_id = run_id

    @override
    async def keep(self) -> None:
        runs = self._call.engine.runs
        logs: list[ExecutionLog] = []
        lines = -1
        async for view in runs.watch(self._run_id):
            is_over = view.run.status in TERMINAL_RUN_STATUSES
            written = sum(step.log_lines for step in view.steps)
            if is_over or written != lines:
                logs, lines = await runs.logs(self._run_id), written
            self.show(states(tuple(self._events(view, logs)), is_last=is_over))

    def _events(self, view: RunView, logs: list[ExecutionLog]) -> Iterator[Event]:
        shown = self._call.shown
        yield "run", view.run.id, shown(view.run)
        for step in view.steps:
            yield "step", step.path, shown(step)
        for line in logs:
            yield "log", line.id, shown(line)


class RunsStates(StatesTopic):
    """How the newest runs of a list stand, and how many there are."""

    def __init__(self, call: Asking, wanted: RunsQuery) -> None:
        super().__init__()
        self._call = call
        self._wanted = wanted

    @override
    async def keep(self) -> None:
        runs = self._call.engine.runs
        wanted = run_filter(self._wanted)
        while True:
            try:
                page = await runs.list_summaries(limit=ROWS, **wanted)
                counts = await runs.count(**wanted)
            except PostgresUnavailableError:
                if self._picture is None:
                    raise
            else:
                self.show(states(tuple(self._events(page.items, counts))))
            await asyncio.sleep(AGAIN_SECONDS)

    def _events(self, runs: tuple[RunSummary, ...], counts: BaseModel) -> Iterator[Event]:
        for run in reversed(runs):
            yield "run", run.id, self._call.shown(run)
        yield "counts", "", self._call.shown(counts)


@routes.add(
    "GET", "/runs/stream", scope="runs:read", gives=RunSummary, query=RunsQuery, is_stream=True
)
async def stream_list(call: Ask) -> Response:
    """Stream how the newest 50 runs of a list stand, and how many there are.

    Events are `run` with a RunSummary and `counts` with RunCounts. The present state comes first,
    also after a reconnect with `Last-Event-ID` when it has changed.
    """
    wanted = call.query(RunsQuery)
    key = ("api-runs", call.likeness, wanted.model_dump_json())
    return _stream(call, key, lambda: RunsStates(call, wanted))


@routes.add("GET", "/runs/{run_id}/stream", scope="runs:read", gives=RunSummary, is_stream=True)
async def stream(call: Ask, run_id: str) -> Response:
    """Stream how a run stands, until it is over.

    Events are `run` with a RunSummary, `step` with a StepSummary, `log` with an ExecutionLog, and
    `end`. They are states: the same one may come again, and the newest of one id or path counts.
    """
    found_or_404(await call.engine.runs.view(run_id))
    key = ("api-run", call.likeness, run_id)
    return _stream(call, key, lambda: RunStates(call, run_id))


def _stream(call: Asking, key: Hashable, make: Callable[[], StatesTopic]) -> Response:
    if call.request.scope.get("pulse.is_head"):
        return Response(headers=STREAM_HEADERS, media_type=EVENT_STREAM)
    seen = call.request.headers.get("last-event-id", "")
    return call.site.topics.stream(call.principal, key, make, seen=seen)
