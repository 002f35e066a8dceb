"""Many runs at once, from the list and from the failures: chosen, asked about, followed."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from pulse_temporal import BulkOperation, WorkflowRun
from pulse_temporal.testing import delay
from pulse_temporal.web import Principal, WebOptions, asgi
from pulse_temporal.web.guard.principal import Scope
from tests.harness import TENANT, PulseTest, eventually
from tests.web.asking import ask
from tests.web.conftest import Visitor

HOUR_MS = 3_600_000
POISON = "<img src=//evil.test/x onerror=alert(2)>"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def failed_runs(pulse: PulseTest, number: int) -> list[WorkflowRun]:
    """Return runs that have failed, and whose action would succeed now."""
    pulse.action("charge", fails=number)
    await pulse.define("order.paid", "charge")
    return [await pulse.emit_and_wait("order.paid") for _ in range(number)]


async def waiting_runs(pulse: PulseTest, number: int) -> list[str]:
    """Return the ids of runs that wait for an hour."""
    await pulse.define("late", delay("hour", HOUR_MS))
    ids = [(await pulse.emit("late")).run_ids[0] for _ in range(number)]
    for run_id in ids:
        await pulse.wait_for_status(run_id, "waiting")
    return ids


async def over(pulse: PulseTest, operation: BulkOperation) -> None:
    """Wait until an operation is over."""

    async def look() -> bool:
        found = await pulse.engine.get_bulk(operation.id)
        return found is not None and found.is_over

    await eventually(look)


async def answer_yes(page: Page, button: str, *, reason: str) -> None:
    """Say why in the dialog that asks, and go on."""
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_role("button", name=button).click()


async def test_chosen_runs_are_retried_after_a_question(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    first, second, third = await failed_runs(pulse, 3)
    async with visitor.visit(f"{site}/t/{TENANT}/runs") as page:
        retry = page.get_by_role("button", name="Retry…")
        await expect(retry).to_be_disabled()
        await page.locator(f"#r-{first.id} input").check()
        await page.locator(f"#r-{third.id}").focus()
        await page.keyboard.press("x")
        await expect(page.locator("#selected")).to_have_text("2 selected")

        await retry.click()
        await expect(page.get_by_role("dialog")).to_contain_text("Retry 2 runs?")
        await answer_yes(page, "Retry 2 runs", reason="Fixed")

        await expect(page.locator("#bulk-head .badge")).to_contain_text("completed")
        await expect(page.locator("#items .badge.done")).to_have_count(3)  # a chip, and two rows
        await expect(page.locator("#bulk-head")).to_contain_text("Fixed")
    assert (await pulse.engine.wait_for_run(first.id)).generation == 2
    assert (await pulse.engine.wait_for_run(third.id)).generation == 2
    untouched = await pulse.engine.get_run(second.id)
    assert untouched is not None
    assert untouched.generation == 1


async def test_all_that_match_are_canceled_while_somebody_looks(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    """At one run a second the page has to show what happens by itself."""
    ids = await waiting_runs(pulse, 3)
    async with visitor.visit(f"{site}/t/{TENANT}/runs?status=waiting") as page:
        await page.get_by_label("all that match").check()
        await page.get_by_role("button", name="Cancel…").click()
        await page.get_by_label("Runs a second").fill("1")
        await page.get_by_label("Name").fill(POISON)
        await answer_yes(page, "Cancel 3 runs", reason=POISON)

        await expect(page.locator("#bulk-head h1")).to_have_text(f"Cancel: {POISON}")
        await expect(page.locator("#bulk-head .badge")).to_contain_text("completed")
        await expect(page.locator(".progress")).to_have_attribute("aria-label", "3 of 3")
    for run_id in ids:
        assert (await pulse.engine.wait_for_run(run_id)).status == "canceled"


async def test_one_is_aborted(pulse: PulseTest, site: str, visitor: Visitor) -> None:
    ids = await waiting_runs(pulse, 2)
    started = await pulse.engine.start_bulk("cancel", run_ids=ids, tenant_id=TENANT, rate=0.01)
    async with visitor.visit(f"{site}/t/{TENANT}/bulk/{started.id}") as page:
        await page.get_by_role("button", name="Abort…").click()
        await answer_yes(page, "Abort the operation", reason="Wrong ones")
        await expect(page.locator("#bulk-head .badge")).to_contain_text("aborted")
        await page.get_by_role("link", name="pending").click()
        await expect(page.locator("#items tbody tr")).to_have_count(1)


async def test_the_failed_ones_are_tried_again(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    nobody = f"run_{'0' * 32}"
    started = await pulse.engine.start_bulk("retry", run_ids=[nobody], tenant_id=TENANT)
    await over(pulse, started)
    async with visitor.visit(f"{site}/t/{TENANT}/bulk/{started.id}") as page:
        await expect(page.locator("#items")).to_contain_text(f"There is no run {nobody}.")
        await page.get_by_role("button", name="Try the failed ones again…").click()
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator("#bulk-head")).to_contain_text("the failed ones of another")
        await page.get_by_role("link", name="Bulk", exact=True).click()
        await expect(page.locator("#operations tbody tr")).to_have_count(2)


async def test_a_group_of_failures_is_retried(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    runs = await failed_runs(pulse, 2)
    async with visitor.visit(f"{site}/t/{TENANT}/failures") as page:
        await page.get_by_role("link", name="Retry all 2…").click()
        await answer_yes(page, "Retry 2 runs", reason="Fixed")
        await expect(page.locator("#bulk-head .badge")).to_contain_text("completed")
        await expect(page.locator("#bulk-head")).to_contain_text("Filter")
    for run in runs:
        assert (await pulse.engine.wait_for_run(run.id)).status == "completed"


async def test_what_is_chosen_stays_chosen_while_the_list_changes(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    (run_id,) = await waiting_runs(pulse, 1)
    async with visitor.visit(f"{site}/t/{TENANT}/runs") as page:
        await expect(page.locator("#live")).to_contain_text("live")
        await page.locator(f"#r-{run_id} input").check()
        await pulse.emit("late")
        await expect(page.locator("#news")).to_be_visible()
        await expect(page.locator(f"#r-{run_id} input")).to_be_checked()
        await expect(page.locator("#rows tr")).to_have_count(1)


async def test_it_is_possible_without_scripts(
    pulse: PulseTest, site: str, visitor: Visitor
) -> None:
    (run,) = await failed_runs(pulse, 1)
    async with visitor.visit(f"{site}/t/{TENANT}/runs", has_script=False) as page:
        await page.locator(f"#r-{run.id} input").check()
        await page.get_by_role("button", name="Retry…").click()
        await page.get_by_label("Reason").fill("Fixed")
        await page.get_by_role("button", name="Retry 1 run").click()
        await expect(page.locator("#bulk-head")).to_contain_text("Fixed")
    assert (await pulse.engine.wait_for_run(run.id)).generation >= 1


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_no_page_is_wider_than_a_phone(
    pulse: PulseTest, site: str, visitor: Visitor, is_dark: bool
) -> None:
    (run,) = await failed_runs(pulse, 1)
    started = await pulse.engine.start_bulk(
        "retry", run_ids=[run.id, "run_1"], tenant_id=TENANT, name=POISON, reason=POISON * 9
    )
    await over(pulse, started)
    places = ("runs", "bulk", f"bulk/{started.id}", "bulk/new?kind=replay&all=1")
    for place in places:
        url = f"{site}/t/{TENANT}/{place}"
        async with visitor.visit(url, width=390, is_dark=is_dark) as page:
            assert await page.evaluate("document.documentElement.scrollWidth") == 390, place
            assert await page.locator("main script, main img").count() == 0, place


async def test_an_operation_is_asked_for_once_however_often_the_button_is_pressed(
    idle_pulse: PulseTest,
) -> None:
    app = asgi(idle_pulse.engine, options=WebOptions())
    body = b"kind=replay&reason=Why&rate=5&key=k1"
    first = await ask(app, f"/t/{TENANT}/bulk", method="POST", headers=FORM, body=body)
    again = await ask(app, f"/t/{TENANT}/bulk", method="POST", headers=FORM, body=body)
    assert (first.status, again.status) == (303, 303)
    assert first.headers["location"] == again.headers["location"]
    (told,) = (await idle_pulse.engine.list_audit(tenant_id=TENANT)).items
    assert (told.action, told.reason) == ("bulk.start", "Why")


@pytest.mark.parametrize(
    ("place", "body", "status"),
    [
        ("bulk", b"kind=retry", 422),
        ("bulk", b"kind=delete&reason=x", 422),
        ("bulk", b"kind=retry&reason=x&rate=fast", 422),
        ("bulk", b"kind=retry&reason=x&status=completed", 422),
        ("bulk/blk_1/abort", b"", 404),
        ("bulk/blk_1/repeat", b"", 404),
    ],
)
async def test_what_is_wrong_is_refused(
    idle_pulse: PulseTest, place: str, body: bytes, status: int
) -> None:
    app = asgi(idle_pulse.engine, options=WebOptions())
    answer = await ask(app, f"/t/{TENANT}/{place}", method="POST", headers=FORM, body=body)
    assert answer.status == status


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("bulk/new?kind=retry", 422),
        ("bulk/new?kind=retry&all=1&since=ever", 422),
        ("bulk/new?kind=retry&all=1", 200),
        ("bulk/blk_1", 404),
        ("bulk/blk_1/stream", 404),
        ("bulk?cursor=x", 422),
    ],
)
async def test_addresses_that_lead_nowhere_say_so(
    idle_pulse: PulseTest, place: str, status: int
) -> None:
    app = asgi(idle_pulse.engine, options=WebOptions())
    assert (await ask(app, f"/t/{TENANT}/{place}")).status == status


async def test_a_completed_operation_cannot_be_aborted_by_its_page(pulse: PulseTest) -> None:
    started = await pulse.engine.start_bulk("replay", filter={}, tenant_id=TENANT)
    await over(pulse, started)
    app = asgi(pulse.engine, options=WebOptions())
    place = f"/t/{TENANT}/bulk/{started.id}/abort"
    assert (await ask(app, place, method="POST", headers=FORM)).status == 409


async def test_who_may_only_look_sees_no_buttons_and_starts_nothing(
    idle_pulse: PulseTest,
) -> None:
    viewer = frozenset[Scope]({"runs:read"})

    async def who(_request: object) -> Principal:
        return Principal(
            id="user:v", name="V", kind="host", tenants=frozenset({TENANT}), scopes=viewer
        )

    await idle_pulse.define("late", delay("hour", HOUR_MS))
    await idle_pulse.emit("late")
    theirs = await idle_pulse.engine.start_bulk("cancel", filter={}, tenant_id="globex")
    app = asgi(idle_pulse.engine, authenticate=who, options=WebOptions())
    listed = await ask(app, f"/t/{TENANT}/runs")
    assert listed.status == 200
    assert "bulk-form" not in listed.text
    for method, place in (
        ("POST", "bulk"),
        ("GET", "bulk/new?kind=retry&all=1"),
        ("POST", f"bulk/{theirs.id}/abort"),
        ("POST", f"bulk/{theirs.id}/repeat"),
    ):
        assert (await ask(app, f"/t/{TENANT}/{place}", method=method)).status == 403, place
    assert (await ask(app, f"/t/{TENANT}/bulk/{theirs.id}")).status == 404
