"""The pages of definitions: what each says, what can be done there, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from pulse_temporal import Actor, acting
from pulse_temporal.testing import delay, parallel
from pulse_temporal.web import Principal, WebOptions, asgi
from pulse_temporal.web.app import Pages
from tests.harness import TENANT, PulseTest
from tests.web.asking import Answer, ask
from tests.web.conftest import Visitor, served

POISON = "<script>alert(1)</script>"


async def a_definition(pulse: PulseTest, *, tenant_id: str = TENANT, **fields: object) -> str:
    """Store a definition of two versions; return its id."""
    pulse.action("charge")
    pulse.action("ship")
    with acting(Actor(id="user:ada", name="Ada")):
        definition = await pulse.define(
            "order.paid",
            "charge",
            parallel("both", ["ship"], [delay("rest", 60_000)]),
            tenant_id=tenant_id,
            **fields,
        )
        change = {"description": "Second thoughts"}
        await pulse.engine.update_workflow(definition.id, change, note="too slow")
    return definition.id


async def post(app: Pages, path: str, form: Mapping[str, str] | None = None) -> Answer:
    """Send a form."""
    return await ask(app, path, method="POST", body=urlencode(form or {}).encode())


async def test_a_definition_is_listed_and_shown(idle_pulse: PulseTest) -> None:
    definition_id = await a_definition(idle_pulse, name="Ship it", environmentFilter="production")
    trigger = await idle_pulse.emit("order.paid", environment="production")
    app = asgi(idle_pulse.engine, options=WebOptions())

    listed = (await ask(app, f"/t/{TENANT}/definitions")).text
    assert "Ship it" in listed
    assert "in production" in listed
    for filters in ("?enabled=no", "?type=order.lost"):
        assert "Ship it" not in (await ask(app, f"/t/{TENANT}/definitions{filters}")).text

    page = (await ask(app, f"/t/{TENANT}/definitions/{definition_id}")).text
    for part in ("<small>v2</small>", "Second thoughts", "1/b1/0", "1 min"):
        assert part in page, part
    assert f"/runs/{trigger.run_ids[0]}" in page
    assert "too slow" in page
    assert "Ada" in page


async def test_somebody_who_may_not_change_it_is_offered_nothing(idle_pulse: PulseTest) -> None:
    definition_id = await a_definition(idle_pulse)

    async def who(_request: object) -> Principal:
        return Principal(
            id="user:eve",
            name="Eve",
            tenants=frozenset({TENANT}),
            scopes=frozenset({"definitions:read"}),
        )

    app = asgi(idle_pulse.engine, authenticate=who, options=WebOptions())
    url = f"/t/{TENANT}/definitions/{definition_id}"
    page = await ask(app, url)
    assert page.status == 200
    assert "data-dialog" not in page.text
    for way in ("enable", "disable", "delete", "versions/1/restore"):
        assert (await post(app, f"{url}/{way}", {"reason": "x", "version": "2"})).status == 403
    found = await idle_pulse.engine.get_workflow(definition_id)
    assert found is not None
    assert (found.version, found.is_enabled) == (2, True)


async def test_other_tenants_and_wrong_numbers_are_not_there(idle_pulse: PulseTest) -> None:
    definition_id = await a_definition(idle_pulse)
    app = asgi(idle_pulse.engine, options=WebOptions())
    for place in (f"other/definitions/{definition_id}", f"{TENANT}/definitions/wfd_0"):
        for page in ("", "/versions", "/diff?from=1&to=2"):
            assert (await ask(app, f"/t/{place}{page}")).status == 404, (place, page)

    url = f"/t/{TENANT}/definitions/{definition_id}"
    statuses = [
        (await ask(app, f"{url}/diff?{query}")).status
        for query in ("from=1&to=9", "from=x&to=2", "to=99999999999999999999", "")
    ]
    assert statuses == [404, 422, 422, 422]
    assert (await post(app, f"{url}/delete")).status == 422


async def test_the_later_of_two_who_restore_is_told(idle_pulse: PulseTest) -> None:
    definition_id = await a_definition(idle_pulse)
    app = asgi(idle_pulse.engine, options=WebOptions())
    url = f"/t/{TENANT}/definitions/{definition_id}/versions/1/restore"

    first = await post(app, url, {"version": "2", "reason": "it was better"})
    second = await post(app, url, {"version": "2"})

    assert (first.status, second.status) == (303, 409)
    assert "version" in second.text
    versions = await idle_pulse.engine.definitions.list_versions(definition_id)
    newest = versions.items[0]
    assert (newest.version, newest.note) == (3, "it was better")
    assert newest.actor is not None
    assert newest.actor.id == "dev"


async def test_a_definition_is_disabled_compared_and_restored_by_buttons(
    idle_pulse: PulseTest, visitor: Visitor
) -> None:
    definition_id = await a_definition(idle_pulse, name=f"Ship {POISON}")
    async with (
        served(idle_pulse) as site,
        visitor.visit(f"{site}/t/{TENANT}/definitions") as page,
    ):
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/definitions/{definition_id}")
        await expect(page.locator("h1")).to_contain_text(POISON)

        await page.get_by_role("button", name="Disable…").click()
        await page.locator("dialog#disable").get_by_label("Reason").fill("customers complain")
        await page.get_by_role("button", name="Disable", exact=True).click()
        await expect(page.locator(".head .badge")).to_contain_text("disabled")

        await page.get_by_role("link", name="changed").click()
        await expect(page.locator("ins")).to_contain_text("Second thoughts")
        await page.get_by_role("button", name="Restore v1…").click()
        await page.get_by_role("button", name="Restore", exact=True).click()
        await expect(page.locator(".head .badge")).to_contain_text("disabled")
        await expect(page.locator("h1")).to_contain_text("v4")

        await page.get_by_role("button", name="Delete…").click()
        await page.locator("dialog#delete").get_by_label("Reason").fill("done with it")
        await page.get_by_role("button", name="Delete", exact=True).click()
        await expect(page.locator("main")).to_contain_text("No definitions yet")
    assert await idle_pulse.engine.get_workflow(definition_id) is None


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_no_page_of_definitions_is_wider_than_a_phone(
    idle_pulse: PulseTest, visitor: Visitor, is_dark: bool
) -> None:
    definition_id = await a_definition(
        idle_pulse, name="n" * 150, description=POISON, config={"x": "y" * 400}
    )
    url = f"/t/{TENANT}/definitions"
    async with served(idle_pulse) as site:
        for place in (
            url,
            f"{url}/{definition_id}",
            f"{url}/{definition_id}/versions",
            f"{url}/{definition_id}/diff?from=1&to=2",
        ):
            async with visitor.visit(f"{site}{place}", width=390, is_dark=is_dark) as page:
                assert await page.evaluate("document.documentElement.scrollWidth") == 390, place
                assert await page.locator("main script").count() == 0
