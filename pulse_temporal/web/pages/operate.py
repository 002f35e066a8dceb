"""Workers, what waits for them, and whether everything is well."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from pulse_temporal.web.whole import WholeAsk

router = APIRouter()


@router.get("/workers")
async def show_workers(ask: WholeAsk) -> HTMLResponse:
    """Show the processes that take work, and the handlers that nobody offers."""
    ask.check("operate:read")
    ask.check_all_tenants()
    workers = await ask.site.engine.list_workers()
    report = await ask.site.engine.check_health(compare=False)
    told = ("workers", "outbox", "pending_runs", "blocked_steps", "other_queues")
    return ask.page(
        "workers.html",
        here="workers",
        workers=workers,
        checks=[check for check in report.checks if check.name in told],
    )


@router.get("/health")
async def show_health(ask: WholeAsk) -> HTMLResponse:
    """Show what was checked, and what to do about what is wrong."""
    ask.check("operate:read")
    ask.check_all_tenants()
    report = await ask.site.engine.check_health(compare=False)
    return ask.page("health.html", here="health", report=report)
