"""Keys, sessions and the audit as pages: each change has a reason, and leaves one row."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from pulse_temporal import Engine
from pulse_temporal.web import SCOPES, Principal, Scope, WebOptions, asgi
from pulse_temporal.web.app import Pages
from tests.harness import TENANT, PulseTest
from tests.web.asking import Answer, ask
from tests.web.conftest import Visitor, served

ADMIN = Principal(id="user:ada", name="Ada", tenants="*", scopes=SCOPES)
OF_ONE = Principal(id="user:bob", name="Bob", tenants=frozenset({TENANT}), scopes=SCOPES)
READS: frozenset[Scope] = frozenset({"runs:read", "signals:read", "definitions:read"})
VIEWER = Principal(id="user:eve", name="Eve", tenants="*", scopes=READS)
KEEPER = Principal(
    id="user:kim", name="Kim", tenants="*", scopes=SCOPES - {"runs:act", "definitions:write"}
)
PEOPLE = {"ada": ADMIN, "bob": OF_ONE, "eve": VIEWER, "kim": KEEPER}


async def who_asks(request: Request) -> Principal | None:
    return PEOPLE.get(request.headers.get("x-user", ""))


def pages_of(engine: Engine) -> Pages:
    return asgi(engine, authenticate=who_asks, options=WebOptions())


async def send(pages: Pages, path: str, who: str = "ada", **fields: str) -> Answer:
    """Send a form."""
    body = urlencode(fields).encode()
    return await ask(pages, path, method="POST", headers={"x-user": who}, body=body)


async def look(pages: Pages, path: str, who: str = "ada") -> Answer:
    return await ask(pages, path, headers={"x-user": who})


async def trail(engine: Engine) -> list[tuple[str, str, str | None]]:
    """Return all of the audit, oldest first: action, who, why."""
    found = (await engine.list_audit()).items
    return [(each.action, each.actor.id, each.reason) for each in reversed(found)]


KEY = {"name": "ci", "role": "viewer", "days": "90", "reason": "for the build"}


async def test_a_key_is_made_shown_once_rotated_and_revoked(idle_pulse: PulseTest) -> None:
    engine, pages = idle_pulse.engine, pages_of(idle_pulse.engine)
    made = await send(pages, "/settings/keys", **KEY)
    assert made.status == 201
    (token,) = set(re.findall(r"pulse_sk_\w+-?[\w-]*", made.text))
    key = await engine.authenticate_api_key(token)
    assert (key.name, key.tenant_id, key.created_by) == ("ci", None, "user:ada")
    listed = await look(pages, "/settings/keys")
    assert key.id in listed.text
    assert "pulse_sk_" not in listed.text

    path = f"/settings/keys/{key.id}"
    rotated = await send(pages, f"{path}/rotate", hours="24", reason="every quarter")
    (second,) = set(re.findall(r"pulse_sk_\w+-?[\w-]*", rotated.text))
    assert second != token
    revoked = await send(pages, f"{path}/revoke", reason="leaked")
    assert (revoked.status, revoked.headers["location"]) == (303, "/settings/keys")
    assert await trail(engine) == [
        ("key.create", "user:ada", "for the build"),
        ("key.rotate", "user:ada", "every quarter"),
        ("key.revoke", "user:ada", "leaked"),
    ]
    again = await send(pages, f"{path}/rotate", hours="0", reason="x")
    assert again.status == 422
    assert "is over" in again.text


async def test_a_change_without_a_reason_is_not_made(idle_pulse: PulseTest) -> None:
    engine, pages = idle_pulse.engine, pages_of(idle_pulse.engine)
    made = await engine.create_api_key("ci", scopes=["runs:read"])
    new = await engine.begin_session("oidc:1", name="X", scopes=["runs:read"], tenants=None)
    before = await trail(engine)
    for path in (
        "/settings/keys",
        f"/settings/keys/{made.key.id}/rotate",
        f"/settings/keys/{made.key.id}/revoke",
        f"/settings/sessions/{new.session.id}/end",
    ):
        answer = await send(pages, path, **{**KEY, "reason": " "})
        assert answer.status == 422
        assert "reason" in answer.text
    assert await trail(engine) == before


@pytest.mark.parametrize(
    "wrong", [{"role": "owner"}, {"days": "5000"}, {"name": ""}, {"name": "a\nb"}]
)
async def test_a_key_that_makes_no_sense_is_not_made(
    idle_pulse: PulseTest, wrong: dict[str, str]
) -> None:
    pages = pages_of(idle_pulse.engine)
    assert (await send(pages, "/settings/keys", **{**KEY, **wrong})).status == 422
    assert not (await idle_pulse.engine.list_api_keys()).items


async def test_nobody_gives_rights_that_they_lack(idle_pulse: PulseTest) -> None:
    pages = pages_of(idle_pulse.engine)
    refused = await send(pages, "/settings/keys", "kim", **{**KEY, "role": "admin"})
    assert refused.status == 403
    assert (await send(pages, "/settings/keys", "kim", **KEY)).status == 201
    page = (await look(pages, "/settings/keys", "kim")).text
    assert re.findall("<option>(.*?)</option>", page) == ["viewer"]


async def test_keys_of_other_tenants_are_as_those_that_never_were(idle_pulse: PulseTest) -> None:
    engine, pages = idle_pulse.engine, pages_of(idle_pulse.engine)
    theirs = await engine.create_api_key("theirs", scopes=["runs:read"], tenant_id="globex")
    of_all = await engine.create_api_key("of all", scopes=["runs:read"])
    listed = await look(pages, "/settings/keys", "bob")
    assert listed.status == 200
    assert "key_" not in listed.text
    for key_id in (theirs.key.id, of_all.key.id):
        for deed in ("rotate", "revoke"):
            told = await send(pages, f"/settings/keys/{key_id}/{deed}", "bob", **KEY, hours="1")
            absent = await send(pages, f"/settings/keys/key_none/{deed}", "bob", **KEY, hours="1")
            assert (told.status, told.text) == (absent.status, absent.text) == (404, absent.text)
    for page in ("keys", "audit"):
        assert (await look(pages, f"/settings/{page}?tenant=globex", "bob")).status == 404
    assert theirs.key.id not in (await look(pages, "/settings/audit", "bob")).text
    made = await send(pages, "/settings/keys", "bob", **KEY)
    assert made.status == 201
    assert (await engine.list_api_keys(limit=1)).items[0].tenant_id == TENANT


async def test_who_may_not_sees_nothing(idle_pulse: PulseTest) -> None:
    pages = pages_of(idle_pulse.engine)
    for path in ("/settings/keys", "/settings/audit", "/workers", "/health"):
        assert (await look(pages, path, "eve")).status == 403
        assert (await look(pages, path, "nobody")).status == 401
    for path in ("/workers", "/health"):
        assert (await look(pages, path, "bob")).status == 404
    for path in ("/settings/keys", "/settings/keys/key_1/revoke", "/settings/keys/key_1/rotate"):
        assert (await send(pages, path, "eve", **KEY)).status == 403
    assert (await look(pages, "/settings/", "eve")).headers["location"] == "/settings/sessions"
    assert (await look(pages, "/settings/")).headers["location"] == "/settings/keys"


async def test_people_end_their_own_sessions_and_admins_all(idle_pulse: PulseTest) -> None:
    engine, pages = idle_pulse.engine, pages_of(idle_pulse.engine)
    of_eve = await engine.begin_session("user:eve", name="Eve", scopes=["runs:read"], tenants=None)
    of_bob = await engine.begin_session("user:bob", name="Bob", scopes=["runs:read"], tenants=None)
    seen = (await look(pages, "/settings/sessions", "eve")).text
    assert of_eve.session.id in seen
    assert of_bob.session.id not in seen
    path = f"/settings/sessions/{of_bob.session.id}/end"
    assert (await send(pages, path, "eve", reason="x")).status == 404
    assert (await send(pages, path, "ada", reason="left us")).status == 303
    own = f"/settings/sessions/{of_eve.session.id}/end"
    assert (await send(pages, own, "eve", reason="at home")).status == 303
    assert not (await engine.list_sessions()).items
    assert (await trail(engine))[-2:] == [
        ("session.end", "user:ada", "left us"),
        ("session.end", "user:eve", "at home"),
    ]


async def test_the_audit_is_narrowed_and_read_page_by_page(idle_pulse: PulseTest) -> None:
    engine, pages = idle_pulse.engine, pages_of(idle_pulse.engine)
    for number in range(51):
        await engine.create_api_key(f"k{number}", scopes=["runs:read"], tenant_id=TENANT)
    first = (await look(pages, "/settings/audit")).text
    assert first.count("<code>key_") == 50
    (older,) = re.findall(r'href="([^"]+)">Older changes', first)
    assert (await look(pages, older.replace("&amp;", "&"))).text.count("<code>key_") == 1
    for nothing in ("action=run.cancel", "subject=run_1", "tenant=globex"):
        assert "No change is on record" in (await look(pages, f"/settings/audit?{nothing}")).text
    assert (await look(pages, "/settings/audit?cursor=x")).status == 422


async def test_workers_and_health_are_pages(pulse: PulseTest) -> None:
    pages = pages_of(pulse.engine)
    workers = (await look(pages, "/workers")).text
    (worker,) = await pulse.engine.list_workers()
    assert worker.id in workers
    assert "alive" in workers
    assert "<b>blocked steps</b>" in workers
    health = (await look(pages, "/health")).text
    for name in ("postgres", "temporal", "outbox", "blocked steps"):
        assert f"<b>{name}</b>" in health


@pytest.mark.parametrize("width", [1360, 390])
async def test_the_pages_fit_and_can_be_used(
    pulse: PulseTest, visitor: Visitor, width: int, tmp_path: Path
) -> None:
    pulse.action("ship")
    await pulse.engine.begin_session("oidc:1", name="Grace", scopes=["runs:read"], tenants=None)
    async with served(pulse) as address:
        for is_dark in (False, True):
            for path in ("keys", "sessions", "audit", "workers", "health", "sign-in"):
                place = f"settings/{path}" if path in {"keys", "sessions", "audit"} else path
                async with visitor.visit(
                    f"{address}/{place}", width=width, is_dark=is_dark
                ) as page:
                    assert await page.evaluate("document.documentElement.scrollWidth") == width
                    shot = tmp_path / f"{path}-{width}-{'dark' if is_dark else 'light'}.png"
                    await page.screenshot(path=str(shot), full_page=True)
                    if path == "keys" and not is_dark:
                        await page.get_by_label("Name").fill("ci")
                        await page.get_by_label("Reason").first.fill("for the build")
                        await page.get_by_role("button", name="Make the key").click()
                        await page.get_by_text("shown this once").wait_for()
                        await page.screenshot(path=str(tmp_path / f"made-{width}.png"))
