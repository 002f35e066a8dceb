"""Signals: the list, and one of them with the runs that it started."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment, segment
from pulse_temporal.model.view_filters import SignalFilterFields
from pulse_temporal.web.asked import Ask
from pulse_temporal.web.urls import query

PAGE_SIGNALS = 50
MOST_RUNS = 100
SEE_OTHER = 303
MATCHED = {"": None, "yes": True, "no": False}

router = APIRouter(prefix="/t/{tenant}")


@router.get("/signals")
async def show_signals(ask: Ask) -> HTMLResponse:
    """Show one page of a tenant's signals."""
    ask.check("signals:read")
    given = ask.request.query_params
    matched = given.get("matched", "")
    if matched not in MATCHED:
        raise InvalidInputError("matched must be yes or no.")
    wanted: SignalFilterFields = {
        "type": given.get("type") or None,
        "resource_id": given.get("resource") or None,
        "is_matched": MATCHED[matched],
    }
    page = await ask.engine.signals.list(
        limit=PAGE_SIGNALS, cursor=given.get("cursor") or None, **wanted
    )
    filters = {name: given.get(name, "") for name in ("type", "resource", "matched")}
    return ask.page(
        "signals.html",
        here="signals",
        page=page,
        filters=filters,
        cursor=given.get("cursor", ""),
        older_url=f"{ask.base}/signals{query(**filters, cursor=page.next_cursor)}",
        newest_url=f"{ask.base}/signals{query(**filters)}",
    )


@router.get("/signals/{signal}")
async def show_signal(ask: Ask, signal: str) -> HTMLResponse:
    """Show a signal, its payload and its runs."""
    ask.check("signals:read")
    signal_id = from_segment(signal)
    found = await ask.engine.signals.get(signal_id)
    if found is None:
        raise NotFoundError(f"There is no signal {signal_id}.")
    runs = await ask.engine.runs.list_summaries(limit=MOST_RUNS, trigger_id=signal_id)
    return ask.page(
        "signal.html",
        here="signals",
        signal=ask.shown(found),
        runs=ask.shown(runs),
        statuses={run.id: run.status for run in runs},
        explanation=await ask.engine.signals.explain(signal_id),
        signal_url=f"{ask.base}/signals/{segment(signal_id)}",
        ask=ask.request.query_params.get("ask", ""),
    )


@router.post("/signals/{signal}/replay")
async def replay_signal(ask: Ask, signal: str) -> RedirectResponse:
    """Run a signal again, and go to what it started."""
    ask.check("runs:act")
    signal_id = from_segment(signal)
    is_dry = "dry_run" in await ask.form()
    with acting(ask.principal.actor):
        runs = await ask.engine.signals.replay(signal_id, dry_run=is_dry)
    if len(runs) == 1:
        return RedirectResponse(f"{ask.base}/runs/{segment(runs[0].id)}", SEE_OTHER)
    return RedirectResponse(f"{ask.base}/signals/{segment(signal_id)}", SEE_OTHER)
