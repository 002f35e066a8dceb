"""What holds for every answer of the API."""

from __future__ import annotations

import inspect
import json

import pytest

from pulse_temporal import create_engine, errors
from pulse_temporal.errors import PulseError
from pulse_temporal.web import WebOptions, asgi
from pulse_temporal.web.api.problems import STATUSES, refusal_of
from tests.api.calling import Api, api_of
from tests.harness import SOURCE, TENANT, PulseTest
from tests.web.asking import ask


def test_every_error_has_a_status() -> None:
    known = {
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, PulseError)
    }
    assert set(STATUSES) == known


def test_a_broken_server_says_nothing_of_the_error() -> None:
    for kind in STATUSES:
        error = kind.__new__(kind, "secret")
        refusal = refusal_of(error)
        if refusal.status >= 500 or refusal.status == 404:
            assert "secret" not in str(refusal)
        if refusal.status == 500:
            assert refusal.code == "internal"


async def test_an_error_that_nobody_has_foreseen_says_nothing(
    idle_pulse: PulseTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api = await api_of(idle_pulse)

    async def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(idle_pulse.engine), "search", broken)
    monkeypatch.setattr("pulse_temporal.engine.tenant.TenantEngine.search", broken, raising=True)
    reply = await api.get("/search?q=x")

    assert (reply.status, reply.code, reply.json["requestId"]) == (500, "internal", "req_test")
    assert "secret" not in reply.answer.text
    assert "req_test" in caplog.text


async def test_a_postgres_that_is_away_is_told_without_its_address() -> None:
    app = asgi(create_engine("postgresql://127.0.0.1:1/none"), options=WebOptions())
    answer = await ask(app, "/api/v1/runs")

    assert answer.status == 503
    assert answer.headers["retry-after"]
    assert json.loads(answer.text)["code"] == "postgres_unavailable"
    assert "127.0.0.1" not in answer.text


async def test_a_refusal_is_a_problem(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    reply = await api.get("/runs/run_1")

    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-request-id"] == "req_test"
    assert reply.json == {
        "type": "urn:pulse-temporal:error:not_found",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "There is nothing at this address, or it is not for you to see.",
        "requestId": "req_test",
    }
    assert (await api.get("/nothing")).answer.text == reply.answer.text


async def test_a_request_without_an_id_is_given_one(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    for sent in ("", "two words", "x" * 101):
        found = (await api.call("GET", "/whoami", headers={"x-request-id": sent})).headers
        assert found["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("raw", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"\xff", "application/json", 400, "malformed"),
        (b'{"source": NaN}', "application/json", 400, "malformed"),
        (b"[" * 100_000, "application/json", 400, "malformed"),
        (b"[]", "application/json", 422, "invalid_input"),
        (b"{}", "text/plain", 415, "media_type"),
        (b"{}", "", 415, "media_type"),
        (b"{}" + b" " * 1024 * 1024, "application/json", 413, "body_too_large"),
        (b'{"source": "s", "type": "t", "odd": 1}', "application/json", 422, "signal"),
        (b"{}", "application/json; charset=utf-8", 422, "signal"),
    ],
)
async def test_a_body_that_is_wrong_is_refused(
    idle_pulse: PulseTest, raw: bytes, kind: str, status: int, code: str
) -> None:
    api = await api_of(idle_pulse)
    reply = await api.call("POST", "/signals", raw=raw, headers={"content-type": kind})
    assert (reply.status, reply.code) == (status, code)


async def test_parameters_that_are_wrong_are_named(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    for query, pointer in (
        ("odd=1", "/odd"),
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("status=odd", "/status/0"),
        ("createdAfter=yesterday", "/createdAfter"),
    ):
        reply = await api.get(f"/runs?{query}")
        assert (reply.status, reply.code) == (422, "invalid_input")
        (found,) = reply.json["problems"]
        assert found["pointer"] == pointer
    assert (await api.get("/runs?cursor=odd")).code == "invalid_input"
    assert (await api.get("/definitions/wfd_1/versions/odd")).code == "invalid_input"


async def test_an_address_names_all_methods_that_it_knows(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    reply = await api.call("PUT", "/definitions/wfd_1", {})
    assert (reply.status, reply.code) == (405, "method")
    assert reply.headers["allow"] == "DELETE, GET, HEAD, PATCH"
    assert (await api.call("DELETE", "/signals")).headers["allow"] == "GET, HEAD, POST"


async def test_head_answers_like_get_without_a_body(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    shown, asked = await api.get("/whoami"), await api.call("HEAD", "/whoami")
    assert asked.answer.text == ""
    assert asked.headers["content-length"] == shown.headers["content-length"]
    assert (await api.call("HEAD", "/runs/stream")).status == 200


async def test_a_key_of_all_tenants_names_one_to_write(idle_pulse: PulseTest) -> None:
    idle_pulse.signal("order.paid")
    api = await api_of(idle_pulse, tenant_id=None)
    signal = {"source": SOURCE, "type": "order.paid"}

    assert (await api.post("/signals", signal)).code == "tenant_required"
    made = await api.post("/signals", signal, **{"pulse-tenant": "ünï"})
    assert made.status == 201
    assert (await api.get(f"/signals/{made.json['id']}")).status == 200


async def test_a_key_of_one_tenant_cannot_name_another(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    assert (await api.get("/runs", **{"pulse-tenant": TENANT})).status == 200
    assert (await api.get("/runs", **{"pulse-tenant": "theirs"})).code == "not_found"


async def test_a_page_links_to_the_next(idle_pulse: PulseTest) -> None:
    idle_pulse.signal("order.paid")
    for number in range(3):
        await idle_pulse.emit("order.paid", {"number": number})
    api = await api_of(idle_pulse)

    seen: list[object] = []
    path = "?limit=2&type=order.paid"
    while path:
        reply = await api.get(f"/signals{path}")
        seen += [item["id"] for item in reply.items]
        link = reply.headers.get("link", "")
        assert bool(link) == (reply.json["nextCursor"] is not None)
        path = link.removeprefix("<").partition(">")[0]

    assert len(set(seen)) == len(seen) == 3


async def test_without_a_key_nobody_is_let_in(idle_pulse: PulseTest) -> None:
    reply = await Api(idle_pulse, None).get("/whoami")
    assert (reply.status, reply.code) == (401, "token_missing")
    assert reply.headers["www-authenticate"] == "Bearer"
