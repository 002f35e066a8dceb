"""Pages in a browser: any width, any theme, without scripts, and whatever people write."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from pulse_temporal import Actor, acting
from tests.harness import TENANT, PulseTest
from tests.web.conftest import Visitor

POISON = (
    "<script>alert(1)</script><img src=//evil.test/x onerror=alert(2)>\"'&{{7*7}}\u2028</title>"
)


async def poisoned(pulse: PulseTest) -> str:
    """Store hostile text wherever text can be stored, and return the id of the failed run."""
    pulse.action("fine", returns={"said": POISON})
    pulse.engine.register_action("breaks", fails_with_poison)
    stored = await pulse.define(
        "order.paid",
        {"type": "action", "name": f"a {POISON}"[:190], "uses": "fine", "config": {"x": POISON}},
        {"type": "action", "name": "b", "uses": "breaks"},
        name=f"n {POISON}"[:190],
        cron_expression="30 2 1 1 *",
        timezone="America/New_York",
    )
    change = {"description": POISON, "config": {POISON: POISON}}
    with acting(Actor(id="user:x", name=POISON, kind="host")):
        await pulse.engine.definitions.update(stored.id, change, note=POISON)
    trigger = await pulse.emit(
        "order.paid",
        {"note": POISON},
        resource_type="kind",
        resource_id=POISON,
        environment=POISON[:150],
    )
    (run_id,) = trigger.run_ids
    run = await pulse.engine.wait_for_run(run_id)
    assert run.status == "failed"
    return run_id


async def fails_with_poison(_ctx: object) -> None:
    """Fail with hostile text."""
    raise ValueError(POISON)


def places(run_id: str, signal_id: str, definition_id: str) -> list[str]:
    """Return the address of each page."""
    tenant = f"/t/{TENANT}"
    return [
        "/tenants",
        f"{tenant}/",
        f"{tenant}/runs",
        f"{tenant}/runs?status=canceled",
        f"{tenant}/runs/{run_id}",
        f"{tenant}/runs/{run_id}?step=0",
        f"{tenant}/runs/{run_id}?ask=replay",
        f"{tenant}/failures",
        f"{tenant}/signals",
        f"{tenant}/signals/{signal_id}",
        f"{tenant}/search?q=n",
        f"{tenant}/definitions",
        f"{tenant}/definitions/{definition_id}",
        f"{tenant}/definitions/{definition_id}?ask=disable",
        f"{tenant}/definitions/{definition_id}/versions",
        f"{tenant}/definitions/{definition_id}/diff",
        f"{tenant}/crons?cron=*",
    ]


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_no_page_is_wider_than_a_phone_and_none_runs_what_people_wrote(
    pulse: PulseTest, site: str, visitor: Visitor, is_dark: bool
) -> None:
    run_id = await poisoned(pulse)
    run = await pulse.engine.get_run(run_id)
    assert run
    for place in places(run_id, run.trigger_id, run.definition_id):
        async with visitor.visit(f"{site}{place}", width=390, is_dark=is_dark) as page:
            assert await page.evaluate("document.documentElement.scrollWidth") == 390, place
            assert await page.locator("main script, main img").count() == 0, place


async def test_what_people_wrote_is_shown_as_text(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    run_id = await poisoned(pulse)
    async with visitor.visit(f"{site}/t/{TENANT}/runs/{run_id}") as page:
        assert "<script>alert(1)</script>" in await page.title()
        await expect(page.locator("#run-head h1")).to_contain_text("<script>alert(1)</script>")
        await expect(page.locator("#detail")).to_contain_text("onerror=alert(2)")
        await expect(page.locator("#payload")).to_contain_text("{{7*7}}")
        await page.locator("#s-0 a.nm").click()
        await expect(page.locator("#detail h2")).to_contain_text("<img src=//evil.test/x")
        await expect(page.locator("#detail")).to_contain_text('"said": "<script>')


async def test_pages_are_readable_without_scripts(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    run_id = await poisoned(pulse)
    async with visitor.visit(f"{site}/t/{TENANT}/runs", has_script=False) as page:
        await page.locator(f"#r-{run_id} a").click()
        await expect(page.locator("#detail h2")).to_contain_text("failed")
        await page.locator("#s-0 a.nm").click()
        await expect(page.locator("#detail h2")).to_contain_text("completed")
        await page.get_by_role("button", name="Replay signal").click()
        await expect(page.locator("dialog#replay")).to_be_visible()
        await expect(page.locator("time").first).to_contain_text("UTC")


async def test_what_can_be_done_about_a_run_is_done_by_buttons(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    gate = pulse.gate("ship")
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge", "ship")
    run = await pulse.emit_and_wait("order.paid")
    async with visitor.visit(f"{site}/t/{TENANT}/runs/{run.id}") as page:
        await page.get_by_role("button", name="Retry from charge").click()
        await page.get_by_role("button", name="Retry the run").click()
        await expect(page.locator("#s-1.running")).to_be_visible()

        await page.get_by_role("button", name="Cancel…").click()
        await page.get_by_label("Reason").fill("a test")
        await page.get_by_role("button", name="Cancel the run").click()
        await expect(page.locator("#run-head")).to_contain_text("Canceled: a test")

        await page.get_by_role("button", name="Replay signal").click()
        await page.get_by_role("button", name="Replay", exact=True).click()
        await expect(page.locator("#run-head")).to_contain_text("dry run")
        await expect(page.locator("#run-head .badge")).to_contain_text("completed")
    gate.open()
    events = await pulse.engine.get_run_timeline(run.id)
    assert [event.detail.get("by") for event in events if event.type == "run_canceled"] == ["dev"]


async def test_a_run_can_be_looked_at_with_the_keyboard_alone(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    run_id = await poisoned(pulse)
    async with visitor.visit(f"{site}/t/{TENANT}/runs") as page:
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/runs/{run_id}")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail h2")).to_contain_text("completed")
        await page.keyboard.press("e")
        await expect(page.locator("#detail h2")).to_contain_text("failed")
        await page.keyboard.press("?")
        await expect(page.locator("dialog#keys")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("s")
        await page.wait_for_url("**/signals")
