"""The page of crons: when each fires, and what an expression would do."""

from __future__ import annotations

from playwright.async_api import expect

from pulse_temporal.web import WebOptions, asgi
from tests.harness import TENANT, PulseTest
from tests.web.asking import ask
from tests.web.conftest import Visitor


async def test_crons_are_listed_with_words_and_others_are_not(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid", name="No clock")
    await idle_pulse.define(
        "nightly", name="Nightly", cron_expression="30 2 * * *", timezone="America/New_York"
    )
    await idle_pulse.define("rests", name="Rests", cron_expression="@hourly", is_enabled=False)
    app = asgi(idle_pulse.engine, options=WebOptions())
    page = (await ask(app, f"/t/{TENANT}/crons")).text
    assert "at 02:30 every day" in page
    assert "America/New_York" in page
    assert "02:30 does not exist" in page
    assert "every hour, on the hour" in page
    assert "No clock" not in page


async def test_an_expression_is_previewed(pulse: PulseTest, site: str, visitor: Visitor) -> None:
    async with visitor.visit(f"{site}/t/{TENANT}/crons") as page:
        await page.get_by_label("Expression").fill("0 9 * * MON-FRI")
        await page.get_by_label("Time zone").fill("Europe/Paris")
        await page.keyboard.press("Enter")
        await expect(page.locator("#words")).to_contain_text("at 09:00 on Mondays to Fridays")
        await expect(page.locator("#preview .times li")).to_have_count(10)
        await page.get_by_label("Expression").fill("61 * * * *")
        await page.get_by_label("Time zone").fill("Mars/Olympus")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#preview")).to_contain_text('"Mars/Olympus" is not')
        await expect(page.locator("#preview")).to_contain_text("must name 0 to 59")
    assert pulse
