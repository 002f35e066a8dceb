"""Pages of definitions: what they do, who changed them, and letting them match or not."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from pulse_temporal.testing import parallel
from pulse_temporal.web import Principal, Scope, WebOptions, asgi
from tests.harness import TENANT, PulseTest
from tests.web.asking import ask
from tests.web.conftest import Visitor

READS: frozenset[Scope] = frozenset({"definitions:read", "runs:read"})


async def test_a_definition_is_found_and_read(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    for name in ("charge", "mail", "text"):
        pulse.action(name)
    await pulse.define(
        "order.paid",
        {"type": "action", "name": "charge", "config": {"limit": 17}, "timeoutMs": 2000},
        parallel("tell", ["mail"], ["text"]),
        name="Ship it",
        environment_filter="production",
        cron_expression="30 2 * * *",
        timezone="America/New_York",
    )
    trigger = await pulse.emit("order.paid", environment="production")
    await pulse.engine.wait_for_run(trigger.run_ids[0])
    async with visitor.visit(f"{site}/t/{TENANT}/") as page:
        await page.keyboard.press("g")
        await page.keyboard.press("d")
        await page.wait_for_url("**/definitions")
        row = page.locator("tbody.rows tr")
        await expect(row).to_contain_text("✓ 1")
        await expect(row).to_contain_text("30 2 * * *")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("Ship it")
        told = "Starts on order.paid in production, and by the clock at 02:30 every day"
        await expect(page.locator("#starts")).to_contain_text(told)
        await expect(page.locator("#clock")).to_contain_text("02:30 does not exist")
        await expect(page.locator("#graph .node")).to_have_count(3)
        await expect(page.locator("#s-0")).to_contain_text("at most 2.00 s")
        await page.locator("#s-0 summary").click()
        await expect(page.locator("#s-0 pre")).to_contain_text('"limit": 17')
        await expect(page.locator("#s-1-b1-0")).to_contain_text("branch 2")
        await expect(page.locator("#runs tbody tr")).to_have_count(1)


async def test_it_is_disabled_and_enabled_with_a_reason(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    stored = await pulse.define("order.paid", name="Ship it")
    async with visitor.visit(f"{site}/t/{TENANT}/definitions/{stored.id}") as page:
        await page.get_by_role("button", name="Disable…").press("Enter")
        await page.locator("#disable").get_by_label("Reason").fill("too many letters")
        await page.keyboard.press("Enter")
        await expect(page.locator(".head .badge")).to_contain_text("disabled")
        await expect(page.locator("#versions")).to_contain_text("too many letters")
        await page.get_by_role("button", name="Enable…").click()
        await page.locator("#enable").get_by_label("Reason").fill("mended")
        await page.get_by_role("button", name="Enable it").click()
        await expect(page.locator(".head .badge")).to_contain_text("enabled")
        await page.get_by_role("button", name="Delete…").click()
        await page.locator("#delete").get_by_label("Reason").fill("done with it")
        await page.get_by_role("button", name="Delete", exact=True).click()
        await expect(page.locator("main")).to_contain_text("No definitions yet")
    entries = await pulse.engine.list_audit(tenant_id=TENANT)
    told = [(each.action, each.actor.id, each.reason) for each in entries]
    assert told[:3] == [
        ("definition.delete", "dev", "done with it"),
        ("definition.enable", "dev", "mended"),
        ("definition.disable", "dev", "too many letters"),
    ]


async def test_versions_are_compared_and_restored(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    pulse.action("charge")
    pulse.action("mail")
    stored = await pulse.define("order.paid", "charge", "mail", name="Ship it")
    steps = [
        {"type": "action", "name": "mail"},
        {"type": "action", "name": "charge", "timeoutMs": 2000},
    ]
    change = {"steps": steps, "description": "new"}
    await pulse.engine.definitions.update(stored.id, change, note="mail first")
    async with visitor.visit(f"{site}/t/{TENANT}/definitions/{stored.id}") as page:
        await page.get_by_role("link", name="Versions").click()
        await expect(page.locator("tbody tr")).to_have_count(2)
        await expect(page.locator("tbody tr").first).to_contain_text("mail first")
        await page.get_by_role("link", name="changed").click()
        await expect(page.locator("#fields")).to_contain_text("description")
        charge = page.locator("#steps li", has_text="charge")
        await expect(charge).to_contain_text("timeoutMs")
        await expect(charge).to_contain_text("2000")
        await expect(page.locator("#steps")).to_contain_text("moved")
        await expect(page.locator("#json .come").first).to_contain_text("+")
        await page.get_by_role("button", name="Restore v1").click()
        await page.get_by_label("Reason").fill("back")
        await page.get_by_role("button", name="Restore it").click()
        await expect(page.locator("h1")).to_contain_text("v3")
    now = await pulse.engine.get_workflow(stored.id)
    assert now
    assert [step.name for step in now.steps] == ["charge", "mail"]


async def test_a_reader_changes_nothing_and_another_tenants_definition_is_absent(
    idle_pulse: PulseTest,
) -> None:
    stored = await idle_pulse.define("order.paid")
    foreign = await idle_pulse.define("order.paid", tenant_id="tenant-b")
    await idle_pulse.engine.definitions.update(foreign.id, {"name": "x"})
    reader = Principal(id="r", name="r", tenants=frozenset({TENANT}), scopes=READS)

    async def who(_request: object) -> Principal:
        return reader

    app = asgi(idle_pulse.engine, authenticate=who, options=WebOptions())
    place = f"/t/{TENANT}/definitions"
    page = await ask(app, f"{place}/{stored.id}")
    assert page.status == 200
    assert "Disable" not in page.text
    for deed in ("enable", "disable", "delete", "restore"):
        answer = await ask(app, f"{place}/{stored.id}/{deed}", method="POST", body=b"number=1")
        assert answer.status == 403, deed
    absent = f"wfd_{'0' * 32}"
    for part in ("", "/versions", "/diff", "/diff?from=1&to=2"):
        answers = [await ask(app, f"{place}/{each}{part}") for each in (foreign.id, absent)]
        assert [each.status for each in answers] == [404, 404], part
        assert answers[0].text == answers[1].text


async def test_a_writer_cannot_change_another_tenants_definition(idle_pulse: PulseTest) -> None:
    foreign = await idle_pulse.define("order.paid", tenant_id="tenant-b")
    app = asgi(idle_pulse.engine, options=WebOptions())
    for deed in ("enable", "disable", "delete", "restore"):
        place = f"/t/{TENANT}/definitions/{foreign.id}/{deed}"
        answer = await ask(app, place, method="POST", body=b"number=1&reason=x")
        assert answer.status == 404, deed
    assert await idle_pulse.engine.get_workflow(foreign.id) == foreign


@pytest.mark.parametrize("given", ["from=0", "to=x", "to=99999999999999", "from=-1", "to=7"])
async def test_a_version_that_there_is_not(idle_pulse: PulseTest, given: str) -> None:
    stored = await idle_pulse.define("order.paid")
    app = asgi(idle_pulse.engine, options=WebOptions())
    answer = await ask(app, f"/t/{TENANT}/definitions/{stored.id}/diff?{given}")
    assert answer.status == 404


async def test_a_change_that_came_between_is_not_overwritten(idle_pulse: PulseTest) -> None:
    stored = await idle_pulse.define("order.paid")
    for name in ("x", "y"):
        await idle_pulse.engine.definitions.update(stored.id, {"name": name})
    app = asgi(idle_pulse.engine, options=WebOptions())
    place = f"/t/{TENANT}/definitions/{stored.id}/restore"
    answer = await ask(app, place, method="POST", body=b"number=1&version=2&reason=x")
    assert answer.status == 409
    assert "version 3 now" in answer.text


async def test_empty_lists_teach(idle_pulse: PulseTest) -> None:
    app = asgi(idle_pulse.engine, options=WebOptions())
    first = (await ask(app, f"/t/{TENANT}/definitions")).text
    assert f"pulse definitions apply flows --tenant {TENANT}" in first
    filtered = (await ask(app, f"/t/{TENANT}/definitions?type=x")).text
    assert "No definition matches" in filtered
    assert "cronExpression" in (await ask(app, f"/t/{TENANT}/crons")).text
    assert (await ask(app, f"/t/{TENANT}/definitions?enabled=perhaps")).status == 422


async def test_values_of_a_definition_are_hidden_from_who_may_not_see_them(
    idle_pulse: PulseTest,
) -> None:
    idle_pulse.action("ship")
    step = {"type": "action", "name": "ship", "config": {"token": "geheim"}}
    stored = await idle_pulse.define("order.paid", step, config={"other": "geheim"})
    change = {"steps": [{**step, "config": {"token": "geheim2"}}], "config": {"other": "geheim2"}}
    await idle_pulse.engine.definitions.update(stored.id, change)
    reader = Principal(id="r", name="r", tenants="*", scopes=READS)

    async def who(_request: object) -> Principal:
        return reader

    app = asgi(idle_pulse.engine, authenticate=who, options=WebOptions())
    for part in ("", "/versions", "/diff"):
        answer = await ask(app, f"/t/{TENANT}/definitions/{stored.id}{part}")
        assert answer.status == 200
        assert "geheim" not in answer.text, part
