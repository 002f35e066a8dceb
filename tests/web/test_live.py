"""Open pages follow what happens, without being loaded again."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.harness import TENANT, PulseTest
from tests.web.conftest import Visitor

MARK = "window.was_here = true"
IS_MARKED = "window.was_here === true"


async def test_a_run_appears_in_an_open_list_and_its_status_follows(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    gate = pulse.gate("ship")
    await pulse.define("order.paid", "ship")
    async with visitor.visit(f"{site}/t/{TENANT}/runs") as page:
        await expect(page.locator("#live")).to_have_text("live")
        await page.evaluate(MARK)

        (run_id,) = (await pulse.emit("order.paid")).run_ids
        status = page.locator(f"#r-{run_id} .st")
        await expect(status).to_contain_text("running")
        gate.open()
        await expect(status).to_contain_text("completed")
        await expect(page.locator("#chips .completed b")).to_have_text("1")
        assert await page.evaluate(IS_MARKED)


async def test_an_open_run_moves_while_focus_and_the_open_step_stay(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    first, second = pulse.gate("pick"), pulse.gate("ship")
    await pulse.define("order.paid", "pick", "ship")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await pulse.wait_for_step(run_id, "0", "running")
    async with visitor.visit(f"{site}/t/{TENANT}/runs/{run_id}") as page:
        await expect(page.locator("#live")).to_have_text("live")
        await page.evaluate(MARK)
        row = page.locator("#s-0 a.nm")
        await row.click()
        await expect(page.locator("#detail h2")).to_contain_text("pick")
        await row.focus()

        first.open()
        await expect(page.locator("#s-0.completed")).to_be_visible()
        await expect(page.locator("#s-1.running")).to_be_visible()
        await expect(page.locator("#detail h2")).to_contain_text("completed")
        assert await focused(page) == "s-0"

        second.open()
        await expect(page.locator("#run-head .badge")).to_contain_text("completed")
        await expect(page.locator("#run-head")).to_contain_text("2 of 2")
        await expect(page.locator("#detail h2")).to_contain_text("pick")
        assert await focused(page) == "s-0"
        assert await page.evaluate(IS_MARKED)


async def focused(page: Page) -> str:
    """Return the id of the row that has the focus."""
    return await page.evaluate("document.activeElement.closest('.row')?.id ?? ''")


async def test_a_retry_reopens_an_open_page(pulse: PulseTest, site: str, visitor: Visitor) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")
    async with visitor.visit(f"{site}/t/{TENANT}/runs/{run.id}") as page:
        await expect(page.locator("#live")).to_have_text("live")
        await expect(page.locator("#detail h2")).to_contain_text("charge")
        await pulse.engine.runs.retry(run.id)
        await expect(page.locator("#run-head .badge")).to_contain_text("completed")


async def test_a_page_that_was_made_before_a_change_catches_up(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    gate = pulse.gate("ship")
    await pulse.define("order.paid", "ship")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await pulse.wait_for_step(run_id, "0", "running")
    async with visitor.visit(f"{site}/t/{TENANT}/runs/{run_id}") as page:
        await expect(page.locator("#live")).to_have_text("live")
        await page.context.set_offline(offline=True)
        gate.open()
        await pulse.engine.wait_for_run(run_id)
        await page.context.set_offline(offline=False)
        await page.reload()
        await expect(page.locator("#run-head .badge")).to_contain_text("completed")
