"""A tenant at a glance: how many runs stand how, and which need somebody."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from pulse_temporal.web.asked import Ask
from pulse_temporal.web.pages.run_list import read_run_list

SHOWN = 8

router = APIRouter(prefix="/t/{tenant}")


@router.get("/")
async def show_overview(ask: Ask) -> HTMLResponse:
    """Show how a tenant's runs stand."""
    ask.check("runs:read")
    runs = ask.engine.runs
    counts = await runs.count()
    needed = [
        ("Blocked", await runs.list_summaries(limit=SHOWN, attention="blocked"))
        if counts.blocked.count
        else None,
        ("Retrying", await runs.list_summaries(limit=SHOWN, attention="retrying"))
        if counts.retrying.count
        else None,
    ]
    return ask.page(
        "overview.html",
        here="overview",
        list=read_run_list(ask.base, ask.request.query_params),
        counts=counts,
        needed=[(name, ask.shown(page)) for name, page in filter(None, needed)],
        groups=ask.shown((await runs.failures())[:SHOWN]),
    )
