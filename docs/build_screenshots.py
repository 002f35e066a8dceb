"""Take the pictures of the README from real runs: ``make screenshots``.

It starts servers of its own, lets an invented company's automations run into all that can happen
to them, and looks at the pages with Chromium, light and dark.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, ViewportSize, async_playwright

from pulse_temporal import Engine, NonRetryableError, WorkflowContext, create_engine
from pulse_temporal.cli.demo import data_folder
from pulse_temporal.cli.local_pages import local_pages
from pulse_temporal.embedded import embedded_services
from pulse_temporal.testing import StepLike, action, condition, delay, parallel

IMAGES = Path(__file__).parent / "images"
TENANT = "acme"
SIZE = ViewportSize(width=1180, height=600)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DAY_MS = 86_400_000
LONGEST_SECONDS = 30


async def is_still_failing(_: WorkflowContext) -> bool:
    """Ask the service."""
    await asyncio.sleep(0.2)
    return True


async def create_incident(ctx: WorkflowContext) -> dict[str, object]:
    """Open an incident."""
    await asyncio.sleep(0.5)
    ctx.log("Incident created", {"severity": "high"})
    return {"incidentId": "INC-2041"}


async def send_slack(_: WorkflowContext) -> dict[str, object]:
    """Post to Slack."""
    await asyncio.sleep(0.4)
    return {"channel": "#alerts"}


async def send_email(ctx: WorkflowContext) -> dict[str, object]:
    """Send an email, which works the third time."""
    await asyncio.sleep(0.6)
    if ctx.step.attempt < 3:  # noqa: PLR2004 - see above
        raise ConnectionError("smtp.acme.test:25 refused the connection")
    return {"to": "oncall@acme.test"}


async def push_to_erp(_: WorkflowContext) -> None:
    """Fail as long as anybody looks."""
    raise ConnectionError("erp.acme.test answered 503")


async def refund(_: WorkflowContext) -> None:
    """Fail for good."""
    raise NonRetryableError("order o-2 has no captured payment")


async def send_reminder(_: WorkflowContext) -> None:
    """Succeed."""
    await asyncio.sleep(0.1)


SIGNALS = {
    "heartbeat.missed": ("service", ["api-6"]),
    "invoice.issued": ("invoice", ["77"]),
    "order.canceled": ("order", ["o-2"]),
    "trial.started": ("user", ["u1", "u2", "u3"]),
    "cart.left": ("cart", ["c-1", "c-2", "c-3", "c-4"]),
}
"""What happens, in the order of the list on the page, oldest last."""

DEFINITIONS: dict[str, tuple[str, list[StepLike]]] = {
    "heartbeat.missed": (
        "Incident on missed heartbeat",
        [
            condition("is_still_failing"),
            action("create_incident"),
            parallel(
                "tell_everyone",
                [action("send_slack")],
                [action("send_email", retryPolicy={"maxAttempts": 5, "backoffMs": 900})],
                [delay("wait_2s", 2_000)],
            ),
            delay("quiet_time", 3_600_000),
        ],
    ),
    "invoice.issued": (
        "Sync invoice to ERP",
        [action("push_to_erp", retryPolicy={"maxAttempts": 10, "backoffMs": 300_000})],
    ),
    "order.canceled": ("Refund order", [action("refund")]),
    "trial.started": (
        "Trial expiration",
        [delay("three_days", 3 * DAY_MS), action("send_reminder")],
    ),
    "cart.left": ("Reminder of a cart", [action("send_reminder")]),
}


@asynccontextmanager
async def company() -> AsyncGenerator[tuple[str, str]]:
    """Yield the address of the pages of a tenant with runs, and the id of one to look at."""
    with data_folder(None) as folder:
        async with embedded_services(folder) as servers:
            engine = create_engine(servers.dsn, servers.temporal_address)
            await engine.migrate()
            for handler in (create_incident, send_slack, send_email, push_to_erp, refund):
                engine.register_action(handler.__name__, handler)
            engine.register_action("send_reminder", send_reminder)
            engine.register_condition("is_still_failing", is_still_failing)
            async with engine:
                run_id = await happen(engine)
                with local_pages() as place:
                    if place is None:
                        raise SystemExit("The pages need the extra [web].")
                    pages = place.of(engine, servers.temporal_ui)
                    serving = asyncio.ensure_future(pages.serve())
                    yield f"{pages.url}t/{TENANT}", run_id
                    pages.stop()
                    await serving


async def happen(engine: Engine) -> str:
    """Emit all signals; return the run of the first type when all have come to rest."""
    run_ids: dict[str, list[str]] = {}
    for type_, (resource_type, resources) in reversed(SIGNALS.items()):
        engine.register_trigger(type_, source="app")
        name, steps = DEFINITIONS[type_]
        await engine.create_workflow(
            {"tenantId": TENANT, "name": name, "triggerType": type_, "steps": steps}
        )
        signal = {"tenantId": TENANT, "source": "app", "type": type_}
        for resource_id in resources:
            trigger = await engine.emit(
                {**signal, "resourceType": resource_type, "resourceId": resource_id}
            )
            run_ids.setdefault(type_, []).extend(trigger.run_ids)

    (watched,) = run_ids["heartbeat.missed"]
    (failed,) = run_ids["order.canceled"]
    await engine.wait_for_run(failed)

    await until_it_sleeps(engine, watched)
    return watched


async def until_it_sleeps(engine: Engine, run_id: str) -> None:
    """Return when a run has come to its last step, a long delay."""
    for _ in range(LONGEST_SECONDS):
        steps = await engine.get_run_steps(run_id)
        if steps[-1].status == "scheduled":
            return
        await asyncio.sleep(1)
    raise SystemExit("The run does not come to its end; see the log above.")


async def take(browser: Browser, url: str, name: str) -> None:
    """Write a picture of a page, light and dark."""
    for scheme in ("light", "dark"):
        context = await browser.new_context(
            viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5
        )
        page = await context.new_page()
        await page.goto(url)
        await page.wait_for_timeout(1_000)  # the stream has told what it knows
        await page.screenshot(path=IMAGES / f"{name}-{scheme}.png")
        await context.close()


async def main() -> None:
    """Take all pictures."""
    found = os.environ.get("PULSE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise SystemExit("There is no Chromium here; PULSE_CHROMIUM may name one.")
    IMAGES.mkdir(exist_ok=True)
    async with company() as (address, run_id), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        await take(browser, f"{address}/runs/{run_id}?step=2/b1/0", "run")
        await take(browser, f"{address}/runs", "runs")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
