"""People sign in with a link, in a browser that keeps a cookie which no script can read."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest

from pulse_temporal import Engine
from pulse_temporal.web import Principal, WebOptions, asgi
from pulse_temporal.web.app import Pages
from tests.harness import TENANT, PulseTest
from tests.web.asking import Answer, ask
from tests.web.conftest import Visitor, served

OPTIONS = WebOptions(sign_in=True, hosts="pulse.acme.test")
HOST = {"host": "pulse.acme.test"}
READ = ["runs:read", "signals:read", "definitions:read", "payloads:read"]


async def link_to(engine: Engine, *, tenants: list[str] | None = None) -> str:
    """Make a link for Ada; return its path."""
    made = await engine.create_login_link("Ada", scopes=READ, tenants=tenants)
    return f"/sign-in/link/{made.token}"


def cookie_of(answer: Answer) -> tuple[str, str]:
    """Return name and value of the cookie that an answer sets."""
    ((name, morsel),) = SimpleCookie(answer.headers["set-cookie"]).items()
    return name, morsel.value


async def signed_in(pages: Pages, engine: Engine, *, scheme: str = "http") -> dict[str, str]:
    """Sign Ada in; return the header that her browser sends from then on."""
    host = HOST if scheme == "https" else {}
    answer = await ask(pages, await link_to(engine), method="POST", headers=host, scheme=scheme)
    name, token = cookie_of(answer)
    return {**host, "cookie": f"{name}={token}"}


async def test_whoever_is_not_known_is_led_to_the_sign_in(idle_pulse: PulseTest) -> None:
    pages = asgi(idle_pulse.engine, options=OPTIONS)
    for path in ("/", "/tenants", f"/t/{TENANT}/runs", f"/t/{TENANT}/runs/stream"):
        answer = await ask(pages, path)
        assert answer.status == 401
        assert "<h1>Sign in</h1>" in answer.text
        assert "pulse login-link" in answer.text
        assert "set-cookie" not in answer.headers
    assert (await ask(pages, "/sign-in")).status == 200


async def test_looking_at_a_link_does_not_use_it_up(idle_pulse: PulseTest) -> None:
    pages = asgi(idle_pulse.engine, options=OPTIONS)
    path = await link_to(idle_pulse.engine)
    for method in ("GET", "HEAD", "GET"):
        looked = await ask(pages, path, method=method)
        assert "set-cookie" not in looked.headers
    page = (await ask(pages, path)).text
    assert f'<form method="post" action="{path}">' in page

    first = await ask(pages, path, method="POST")
    assert (first.status, first.headers["location"]) == (303, "/")
    again = await ask(pages, path, method="POST")
    assert again.status == 403
    assert "used before" in again.text
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    idle_pulse: PulseTest, scheme: str
) -> None:
    pages = asgi(idle_pulse.engine, options=OPTIONS)
    host = HOST if scheme == "https" else {}
    path = await link_to(idle_pulse.engine)
    answer = await ask(pages, path, method="POST", headers=host, scheme=scheme)
    cookie = answer.headers["set-cookie"]
    name, _ = cookie_of(answer)
    flags = {each.strip().lower() for each in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", "max-age=43200"} <= flags
    assert ("secure" in flags) is (scheme == "https")
    assert not any(flag.startswith("domain") for flag in flags)
    assert name == ("__Host-pulse" if scheme == "https" else "pulse_dev")


async def test_nobody_signs_in_where_the_session_would_travel_in_the_clear(
    idle_pulse: PulseTest,
) -> None:
    pages = asgi(idle_pulse.engine, options=OPTIONS)
    path = await link_to(idle_pulse.engine)
    answer = await ask(pages, path, method="POST", headers=HOST)
    assert answer.status == 403
    assert "https" in answer.text
    assert "set-cookie" not in answer.headers
    assert (await ask(pages, path, method="POST", headers=HOST, scheme="https")).status == 303


async def test_a_session_is_who_asks_until_it_is_over(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    pages = asgi(engine, options=OPTIONS)
    ada = await signed_in(pages, engine)
    page = await ask(pages, f"/t/{TENANT}/runs", headers=ada)
    assert page.status == 200
    assert "Ada" in page.text
    assert 'action="/sign-out"' in page.text
    # A cookie of the wrong kind is none: over TLS only the guarded one counts.
    wrong = {"cookie": ada["cookie"], **HOST}
    assert (await ask(pages, "/tenants", headers=wrong, scheme="https")).status == 401

    out = await ask(pages, "/sign-out", method="POST", headers=ada)
    assert out.headers["location"] == "/sign-in"
    assert "max-age=0" in out.headers["set-cookie"].lower()
    assert (await ask(pages, "/tenants", headers=ada)).status == 401
    assert (await ask(pages, "/sign-out", method="POST", headers=ada)).status == 303
    actions = [each.action for each in (await engine.list_audit()).items]
    assert actions == ["session.end", "session.begin", "link.create"]


async def test_a_person_of_one_tenant_sees_no_other(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    pages = asgi(engine, options=OPTIONS)
    path = await link_to(engine, tenants=[TENANT])
    name, token = cookie_of(await ask(pages, path, method="POST"))
    ada = {"cookie": f"{name}={token}"}
    first = await ask(pages, "/", headers=ada)
    assert first.headers["location"] == f"/t/{TENANT}/"
    assert (await ask(pages, "/t/theirs/runs", headers=ada)).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "https://evil.test"},
        {"sec-fetch-site": ""},
        {"host": "evil.test"},
    ],
)
async def test_no_other_site_acts_with_somebodys_session(
    idle_pulse: PulseTest, headers: dict[str, str]
) -> None:
    engine = idle_pulse.engine
    pages = asgi(engine, options=OPTIONS)
    ada = await signed_in(pages, engine)
    link = await link_to(engine)
    for path in ("/sign-out", link, f"/t/{TENANT}/runs/run_1/cancel"):
        answer = await ask(pages, path, method="POST", headers={**ada, **headers})
        assert answer.status == (421 if "host" in headers else 403)
        assert "set-cookie" not in answer.headers
    assert len(await engine.list_sessions()) == 1
    assert (await ask(pages, link, method="POST")).status == 303


async def test_no_other_site_shows_the_sign_in_in_a_frame(idle_pulse: PulseTest) -> None:
    pages = asgi(idle_pulse.engine, options=OPTIONS)
    for path in ("/sign-in", "/tenants", await link_to(idle_pulse.engine)):
        answer = await ask(pages, path)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_an_application_that_knows_its_people_needs_no_sign_in(
    idle_pulse: PulseTest,
) -> None:
    async def who(_request: object) -> Principal | None:
        return None

    pages = asgi(idle_pulse.engine, authenticate=who, options=OPTIONS)
    path = await link_to(idle_pulse.engine)
    for place in ("/sign-in", path):
        assert (await ask(pages, place)).status == 404
    assert (await ask(pages, path, method="POST")).status == 404
    assert (await ask(pages, "/sign-out", method="POST")).status == 404
    assert "pulse login-link" not in (await ask(pages, "/tenants")).text


async def test_a_link_is_pressed_in_a_browser(idle_pulse: PulseTest, visitor: Visitor) -> None:
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship")
    async with served(idle_pulse, WebOptions(sign_in=True)) as address:
        link = f"{address}{await link_to(idle_pulse.engine)}"
        async with visitor.visit(link) as page:
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(re.compile("/tenants$"))
            await page.get_by_role("link", name=TENANT).click()
            assert await page.evaluate("document.cookie") == ""
            await page.get_by_role("button", name="Sign out").click()
            await page.wait_for_url(re.compile("/sign-in$"))
