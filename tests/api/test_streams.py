"""Streams of the API: states, which survive any cut."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from starlette.types import Message

from pulse_temporal import WorkflowContext
from tests.api.calling import Api, api_of
from tests.harness import PulseTest

CUTS = 50


class CutError(OSError):
    """The connection is cut."""


@dataclass
class Follower:
    """Follows a run by its stream, and comes back after a cut."""

    api: Api
    run_id: str
    seen: str = ""
    is_over: bool = False
    states: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])

    async def follow(self, *, most_bytes: int | None = None) -> None:
        """Read until the end, or until so many bytes have come."""
        path = f"/api/v1/runs/{self.run_id}/stream"
        given = {"host": "localhost", "authorization": f"Bearer {self.api.token}"}
        if self.seen:
            given["last-event-id"] = self.seen
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        rest = b""
        came = 0

        async def receive() -> Message:
            return await asyncio.Future()

        async def send(message: Message) -> None:
            nonlocal rest, came
            if message["type"] == "http.response.start":
                assert message["status"] == 200
                return
            body: bytes = message.get("body", b"")
            if most_bytes is not None and came + len(body) >= most_bytes:
                body = body[: most_bytes - came]
                self._read(rest + body)
                raise CutError
            came += len(body)
            rest = self._read(rest + body)

        with suppress(CutError):
            async with asyncio.timeout(60):
                await self.api.app(scope, receive, send)

    def _read(self, text: bytes) -> bytes:
        """Take what has come whole, and return the rest."""
        *events, rest = text.split(b"\n\n")
        for event in events:
            lines = [line for line in event.decode().split("\n") if not line.startswith(":")]
            fields = dict(line.split(": ", 1) for line in lines)
            self.seen = fields.get("id", self.seen)
            kind = fields.get("event")
            if kind == "end":
                self.is_over = True
            elif kind:
                data = json.loads(fields["data"])
                name = data["path"] if kind == "step" else data["id"]
                self.states[kind, name] = data
        return rest


async def test_a_stream_that_is_cut_fifty_times_ends_like_one_that_is_not(
    pulse: PulseTest, caplog: pytest.LogCaptureFixture
) -> None:
    gate = pulse.gate("gate")

    async def speak(ctx: WorkflowContext) -> dict[str, object]:
        for number in range(20):
            ctx.log(f"line {number}: event: x\ndata: y")
        return {}

    pulse.engine.register_action("speak", speak)
    await pulse.define("order.paid", "speak", "gate")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await pulse.wait_for_step(run_id, "1", "running")
    api = await api_of(pulse)
    random = Random(7)  # noqa: S311 - the same cuts each time
    follower = Follower(api, run_id)

    for cut in range(CUTS):
        if cut == CUTS // 2:
            gate.open()
        follower.seen = random.choice(["", follower.seen])
        await follower.follow(most_bytes=random.randrange(1, 2_000))
    assert api.app.topics.count == 0
    await pulse.engine.wait_for_run(run_id)
    await follower.follow()
    fresh = Follower(api, run_id)
    await fresh.follow()

    assert "could not be answered" not in caplog.text
    assert follower.is_over
    assert fresh.is_over
    assert follower.states == fresh.states
    assert fresh.states["run", run_id]["status"] == "completed"
    assert len([kind for kind, _ in fresh.states if kind == "log"]) == 20
    shown = (await api.get(f"/runs/{run_id}/view")).json
    assert fresh.states["run", run_id] == shown["run"]
    steps = [fresh.states["step", step["path"]] for step in shown["steps"]]
    assert steps == shown["steps"]


async def test_a_stream_of_another_tenant_is_none(pulse: PulseTest) -> None:
    pulse.action("ship")
    await pulse.define("order.paid", "ship")
    run = await pulse.emit_and_wait("order.paid")
    api = await api_of(pulse, tenant_id="theirs")
    assert (await api.get(f"/runs/{run.id}/stream")).status == 404
