"""Call the API of an engine with a key, without a network."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from pulse_temporal.model.api_keys import ROLES
from pulse_temporal.web import Principal, WebOptions, asgi
from tests.harness import TENANT, PulseTest
from tests.web.asking import Answer, ask


async def nobody(_request: Request) -> Principal | None:
    """Recognise no one."""
    return None


@dataclass(frozen=True)
class Reply:
    """What the API has answered."""

    answer: Answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def headers(self) -> dict[str, str]:
        return self.answer.headers

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.answer.text)

    @property
    def code(self) -> object:
        return self.json["code"]

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.json["items"]


class Api:
    """The API of an engine, as somebody with a key sees it."""

    def __init__(self, pulse: PulseTest, token: str | None) -> None:
        self.pulse = pulse
        self.token = token
        self.app = asgi(pulse.engine, authenticate=nobody, options=WebOptions())

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        given = {"sec-fetch-site": "", "x-request-id": "req_test"}
        if sent:
            given["content-type"] = "application/json"
        if self.token:
            given["authorization"] = f"Bearer {self.token}"
        given |= headers or {}
        return Reply(
            await ask(self.app, f"/api/v1{path}", method=method, headers=given, body=sent)
        )

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.call("GET", path, headers=headers)

    async def post(self, path: str, body: object = None, **headers: str) -> Reply:
        return await self.call("POST", path, body, headers=headers)


async def api_of(
    pulse: PulseTest,
    *,
    role: str = "admin",
    scopes: Collection[str] | None = None,
    tenant_id: str | None = TENANT,
) -> Api:
    """Give the API as a new key of a role, or with scopes, sees it."""
    made = await pulse.engine.create_api_key(
        role, scopes=ROLES[role] if scopes is None else scopes, tenant_id=tenant_id
    )
    return Api(pulse, made.token)
