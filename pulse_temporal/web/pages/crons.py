"""Crons: when the clock starts definitions, and what an expression would do."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import DefinitionError, Problem
from pulse_temporal.services.definitions.cron import parse_cron, zones
from pulse_temporal.web.asked import Ask
from pulse_temporal.web.pages.definition_looks import CronLook, clock_from, clock_of
from pulse_temporal.web.urls import query

PAGE_CRONS = 25
TIMES = 3
TIMES_OF_PREVIEW = 10
LONGEST = 200

router = APIRouter(prefix="/t/{tenant}")


@router.get("/crons")
async def show_crons(ask: Ask) -> HTMLResponse:
    """Show the definitions that the clock starts, and preview an expression."""
    ask.check("definitions:read")
    given = ask.request.query_params
    page = await ask.engine.definitions.list(
        has_cron=True, limit=PAGE_CRONS, cursor=given.get("cursor") or None
    )
    now = utc_now()
    activity = await ask.engine.definitions.activity([each.id for each in page.items])
    expression, zone = given.get("cron", "").strip(), given.get("zone", "").strip()
    preview, problems = preview_of(expression, zone) if expression else (None, ())
    return ask.page(
        "crons.html",
        here="crons",
        page=page,
        activity=activity,
        clocks={each.id: clock_of(each, now=now, number=TIMES) for each in page.items},
        cursor=given.get("cursor", ""),
        more_url=f"{ask.base}/crons{query(cursor=page.next_cursor)}",
        expression=expression,
        zone=zone,
        zones=sorted(zones()),
        preview=preview,
        problems=problems,
    )


def preview_of(expression: str, zone: str) -> tuple[CronLook | None, tuple[Problem, ...]]:
    """Return when an expression would fire, or what is wrong with it."""
    if len(expression) > LONGEST or len(zone) > LONGEST:
        return None, (Problem("", f"must have at most {LONGEST} characters"),)
    try:
        cron = parse_cron(expression, zone or None)
    except DefinitionError as error:
        return None, error.problems
    return clock_from(cron, now=utc_now(), number=TIMES_OF_PREVIEW), ()
