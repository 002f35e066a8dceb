"""Who may come in, and what is said to whoever may not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pulse_temporal import ConfigurationError, create_engine
from pulse_temporal.web import SCOPES, Principal, Scope, WebOptions, asgi, web_options
from pulse_temporal.web.guard.hosts import is_loopback, name_of
from pulse_temporal.web.render import STATIC
from tests.harness import TENANT, PulseTest
from tests.web.asking import ask

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8765", 200),
        ("127.0.0.1:8765", 200),
        ("[::1]:8765", 200),
        ("pulse.localhost", 200),
        ("pulse.acme.test", 200),
        ("PULSE.acme.test:443", 200),
        ("evil.test", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("", 421),
    ],
)
async def test_only_hosts_of_this_server_are_answered_for(host: str, status: int) -> None:
    app = asgi(
        create_engine("postgresql://x"), options=WebOptions(hosts="a.test, pulse.acme.test")
    )
    assert (await ask(app, "/healthz", headers={"host": host})).status == status


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "", "origin": "http://localhost"}, False),
        ({"sec-fetch-site": "", "origin": "http://evil.test"}, True),
        ({"sec-fetch-site": "", "origin": "null"}, True),
        ({"sec-fetch-site": ""}, True),
        ({"sec-fetch-site": "cross-site", "authorization": "Bearer x"}, False),
    ],
)
async def test_a_change_must_be_asked_for_by_a_page_of_this_site(
    headers: dict[str, str], is_refused: bool
) -> None:
    app = asgi(create_engine("postgresql://127.0.0.1:1/none"), options=WebOptions())
    answer = await ask(app, "/t/acme/runs/run_1/retry", method="POST", headers=headers)
    assert (answer.status == 403) is is_refused


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),
        ({"origin": "http://evil.test"}, True),
        ({"origin": "null"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"cookie": "a=b"}, True),
    ],
)
async def test_programs_need_not_say_where_a_change_comes_from(
    headers: dict[str, str], is_refused: bool
) -> None:
    app = asgi(create_engine("postgresql://127.0.0.1:1/none"), options=WebOptions())
    given = {"sec-fetch-site": "", **headers}
    answer = await ask(app, "/api/v1/runs/run_1/cancel", method="POST", headers=given)
    assert (answer.status == 403) is is_refused


async def test_every_answer_forbids_what_no_page_needs() -> None:
    app = asgi(create_engine("postgresql://x"), options=WebOptions())
    for path in ("/healthz", "/static/pulse.css", "/nothing"):
        headers = (await ask(app, path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_files_are_kept_by_browsers_and_pages_are_not() -> None:
    app = asgi(create_engine("postgresql://x"), options=WebOptions())
    assert "immutable" in (await ask(app, "/static/pulse.css?1")).headers["cache-control"]
    assert (await ask(app, "/nothing")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("10.0.0.9", {}),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.9"}),
        ("127.0.0.1", {"forwarded": "for=10.0.0.9"}),
        ("127.0.0.1", {"host": "pulse.acme.test"}),
    ],
)
async def test_without_sign_in_only_this_machine_is_let_in(
    client: str, headers: dict[str, str]
) -> None:
    options = WebOptions(hosts="pulse.acme.test")
    app = asgi(create_engine("postgresql://127.0.0.1:1/none"), options=options)
    answer = await ask(app, "/tenants", client=client, headers=headers)
    assert answer.status == 401


class Guests:
    """Recognises people by a header, as an application does by its session."""

    def __init__(self, *, tenants: frozenset[str], scopes: frozenset[Scope] = SCOPES) -> None:
        self._guest = Principal(id="user:ada", name="Ada", tenants=tenants, scopes=scopes)

    async def __call__(self, request: Request) -> Principal | Response | None:
        match request.headers.get("x-user"):
            case "ada":
                return self._guest
            case "new":
                return RedirectResponse("/login")
            case _:
                return None


async def test_the_application_says_who_asks(pulse: PulseTest) -> None:
    app = asgi(
        pulse.engine, authenticate=Guests(tenants=frozenset({TENANT})), options=WebOptions()
    )
    assert (await ask(app, f"/t/{TENANT}/runs")).status == 401
    assert (await ask(app, "/", headers={"x-user": "new"})).headers["location"] == "/login"
    first = await ask(app, "/", headers={"x-user": "ada"})
    assert first.headers["location"] == f"/t/{TENANT}/"
    assert (await ask(app, f"/t/{TENANT}/runs", headers={"x-user": "ada"})).status == 200


async def test_what_is_another_tenants_answers_like_what_does_not_exist(pulse: PulseTest) -> None:
    pulse.action("ship")
    await pulse.define("order.paid", "ship", tenant_id="theirs")
    run = await pulse.emit_and_wait("order.paid", tenant_id="theirs")
    app = asgi(
        pulse.engine, authenticate=Guests(tenants=frozenset({TENANT})), options=WebOptions()
    )
    as_ada = {"x-user": "ada"}
    absent = await ask(app, f"/t/{TENANT}/runs/run_absent", headers=as_ada)
    assert absent.status == 404
    for path in (
        f"/t/{TENANT}/runs/{run.id}",
        f"/t/{TENANT}/runs/{run.id}/steps/0",
        f"/t/{TENANT}/runs/{run.id}/stream",
        f"/t/{TENANT}/signals/{run.trigger_id}",
        f"/t/theirs/runs/{run.id}",
        "/t/theirs/",
        "/t/theirs/runs/stream",
        "/t/nobody/runs",
    ):
        answer = await ask(app, path, headers=as_ada)
        assert (answer.status, answer.text) == (absent.status, absent.text), path
    for deed in ("cancel", "retry"):
        path = f"/t/{TENANT}/runs/{run.id}/{deed}"
        assert (await ask(app, path, method="POST", headers=as_ada)) == absent
    path = f"/t/{TENANT}/signals/{run.trigger_id}/replay"
    assert (await ask(app, path, method="POST", headers=as_ada)) == absent


async def test_whoever_may_only_look_changes_nothing_and_sees_no_payload(pulse: PulseTest) -> None:
    pulse.action("ship", fails=9)
    await pulse.define("order.paid", "ship", config={"secret": "hunter2"})
    trigger = await pulse.emit("order.paid", {"card": "hunter2"})
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])
    scopes: frozenset[Scope] = frozenset({"runs:read", "signals:read"})
    guests = Guests(tenants=frozenset({TENANT}), scopes=scopes)
    app = asgi(pulse.engine, authenticate=guests, options=WebOptions())
    as_ada = {"x-user": "ada"}
    for deed in (f"runs/{run.id}/cancel", f"runs/{run.id}/retry", f"signals/{trigger.id}/replay"):
        answer = await ask(app, f"/t/{TENANT}/{deed}", method="POST", headers=as_ada)
        assert answer.status == 403
    for place in ("", "runs", f"runs/{run.id}", "failures", f"signals/{trigger.id}"):
        answer = await ask(app, f"/t/{TENANT}/{place}", headers=as_ada)
        assert answer.status == 200
        assert "hunter2" not in answer.text
        assert "scripted failure" not in answer.text
    assert (await pulse.engine.get_run(run.id)) == run


async def test_a_tenant_may_have_any_name(pulse: PulseTest) -> None:
    for name in ("a/b", "..", "ü ñ?#%", "~1"):
        pulse.action(f"ship {name}")
        await pulse.define("order.paid", f"ship {name}", tenant_id=name)
    app = asgi(pulse.engine, options=WebOptions())
    listed = (await ask(app, "/tenants")).text
    links = re.findall(r'<td class="nm"><a href="(/t/[^"]+)"', listed)
    assert len(links) == 4
    for link in links:
        assert (await ask(app, link)).status == 200


async def test_a_postgres_that_is_away_is_no_broken_page() -> None:
    app = asgi(create_engine("postgresql://127.0.0.1:1/none"), options=WebOptions())
    answer = await ask(app, "/t/acme/runs")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"


async def test_a_filter_that_does_not_exist_is_named(pulse: PulseTest) -> None:
    app = asgi(pulse.engine, options=WebOptions())
    answer = await ask(app, f"/t/{TENANT}/runs?status=odd")
    assert answer.status == 422
    assert "status must be one of pending, running" in answer.text


def test_names_of_hosts_are_read_with_and_without_a_port() -> None:
    assert [name_of(host) for host in ("A.test:80", "[::1]:80", "b")] == ["a.test", "::1", "b"]
    assert [name for name in ("::1", "127.8.8.8", "10.0.0.1", "x") if is_loopback(name)] == [
        "::1",
        "127.8.8.8",
    ]


def test_a_mistyped_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_WEB_HOST", "a.test")
    with pytest.raises(ConfigurationError, match="PULSE_WEB_HOST: no such setting; there are"):
        web_options()
    monkeypatch.delenv("PULSE_WEB_HOST")
    monkeypatch.setenv("PULSE_WEB_MOST_STREAMS", "secret")
    with pytest.raises(ConfigurationError, match="PULSE_WEB_MOST_STREAMS") as caught:
        web_options()
    assert "secret" not in str(caught.value)


def test_pages_are_light() -> None:
    vendor = STATIC / "vendor"
    assert (vendor / "htmx.LICENSE.txt").read_text(encoding="utf-8")
    scripts = [*STATIC.glob("*.js"), *vendor.glob("*.js")]
    assert {path.name for path in vendor.glob("*.js")} == {"htmx.min.js", "hx-sse.min.js"}
    assert sum(path.stat().st_size for path in scripts) <= 60 * 1024
    assert sum(path.stat().st_size for path in STATIC.glob("*.css")) <= 20 * 1024


def test_the_lock_file_of_the_scripts_names_no_registry_but_the_public_one() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for entry in packages.values():
        assert entry["integrity"].startswith("sha512-")
        assert entry.get("resolved", "https://registry.npmjs.org/").startswith(
            "https://registry.npmjs.org/"
        )


async def test_mounted_pages_link_to_themselves(idle_pulse: PulseTest) -> None:
    host = FastAPI()
    host.mount("/pulse", asgi(idle_pulse.engine, options=WebOptions()))
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    assert (await ask(host, "/pulse/")).headers["location"] == "/pulse/tenants"
    for place in ("runs", f"runs/{run_id}", "signals", "failures", ""):
        answer = await ask(host, f"/pulse/t/{TENANT}/{place}")
        assert answer.status == 200
        links = re.findall(r'(?:href|src|action|hx-get|hx-sse:connect)="(/[^"]*)"', answer.text)
        assert links
        assert [link for link in links if not link.startswith("/pulse/")] == []
    assert (await ask(host, "/pulse/static/pulse.css?1")).status == 200
