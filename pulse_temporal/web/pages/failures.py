"""Failed runs, grouped by what went wrong."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from pulse_temporal.web.asked import Ask

router = APIRouter(prefix="/t/{tenant}")


@router.get("/failures")
async def show_failures(ask: Ask) -> HTMLResponse:
    """Show a tenant's failures."""
    ask.check("runs:read")
    groups = ask.shown(await ask.engine.runs.failures())
    return ask.page("failures.html", here="failures", groups=groups)
