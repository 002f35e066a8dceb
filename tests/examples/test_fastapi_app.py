"""The FastAPI example serves: over HTTP, by a real server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import pytest
import uvicorn
from fastapi import FastAPI

from pulse_temporal.embedded import EmbeddedServices
from tests.harness import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_app.py"

WORKFLOW = {
    "name": "Receipt",
    "triggerType": "order.paid",
    "steps": [{"type": "action", "name": "send_receipt"}],
}


def load_app() -> FastAPI:
    """Import the example as a new module, with the environment of now."""
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, FastAPI)
    return app


class Site:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(
        self, path: str, body: Mapping[str, object] | None = None, *, tenant: str = "acme"
    ) -> tuple[int, str]:
        """Send a request and give status and text of the answer; with a body it is a POST."""
        return await asyncio.to_thread(self._ask, path, body, tenant)

    def _ask(self, path: str, body: Mapping[str, object] | None, tenant: str) -> tuple[int, str]:
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
        headers = {"X-Tenant": tenant, "Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture
async def site(
    servers: EmbeddedServices, database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Site]:
    """Serve the example on a free port."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("TEMPORAL_ADDRESS", servers.temporal_address)
    server = uvicorn.Server(uvicorn.Config(load_app(), port=0, log_level="warning"))
    serving = asyncio.ensure_future(server.serve())

    async def is_up() -> bool:
        return server.started or serving.done()

    await eventually(is_up)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(port)
    server.should_exit = True
    await serving


async def test_an_order_starts_the_tenants_workflow(site: Site) -> None:
    status, _ = await site.ask("/workflows", WORKFLOW)
    assert status == 201

    status, text = await site.ask("/orders", {"id": "o-1", "cents": 1200})

    assert status == 201
    (run_id,) = json.loads(text)["runs"]

    async def is_over() -> bool:
        _, timeline = await site.ask(f"/runs/{run_id}/timeline")
        return "run_completed" in timeline

    await eventually(is_over)
    status, _ = await site.ask(f"/runs/{run_id}/timeline", tenant="somebody-else")
    assert status == 404


async def test_an_order_that_cannot_be_stored_emits_nothing(
    site: Site, connection: asyncpg.Connection
) -> None:
    await site.ask("/orders", {"id": "o-1", "cents": 1200})

    status, _ = await site.ask("/orders", {"id": "o-1", "cents": 5})

    assert status >= 400
    assert await connection.fetchval("SELECT count(*) FROM pulse_triggers") == 1
    assert await connection.fetchval("SELECT count(*) FROM orders") == 1


async def test_a_wrong_workflow_is_explained(site: Site) -> None:
    steps = [{"type": "action", "name": "send_reciept"}]

    status, text = await site.ask("/workflows", {**WORKFLOW, "steps": steps})

    answer = json.loads(text)
    assert (status, answer["code"]) == (422, "definition_invalid")
    assert 'Did you mean "send_receipt"?' in answer["message"]
