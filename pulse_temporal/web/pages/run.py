"""The page of a run: its waterfall, its steps, and what can be done about it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, StreamingResponse

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment
from pulse_temporal.model.graph import graph_of, steps_of
from pulse_temporal.model.paths import parse_path
from pulse_temporal.model.views import RunView, StepView
from pulse_temporal.web.asked import Ask, Asked
from pulse_temporal.web.pages.run_picture import RunLook, RunTopic, picture_of

SEE_OTHER = 303

router = APIRouter(prefix="/t/{tenant}")


@router.get("/runs/{run}")
async def show_run(ask: Ask, run: str, step: str = "", attempt: int | None = None) -> HTMLResponse:
    """Show a run; the step in the URL is open, else the one that failed."""
    ask.check("runs:read")
    look = _look(ask, run)
    view = await ask.engine.runs.view(look.run_id)
    if view is None:
        raise NotFoundError(f"There is no run {look.run_id}.")
    view = ask.shown(view)
    snapshot = await ask.engine.runs.snapshot(look.run_id)
    signal = await ask.engine.signals.get(view.run.signal_id)
    picture = picture_of(ask, view, look, now=utc_now())
    detail = await _step(ask, look, step or _failed_step(view), attempt) if view.steps else None
    return ask.page(
        "run.html",
        here="runs",
        **look.values,
        view=view,
        waterfall=picture.waterfall,
        version=picture.name,
        temporal_url=picture.frame["temporal_url"],
        graph=graph_of(steps_of(snapshot)),
        states={each.path: each.attention or each.status for each in view.steps},
        signal=ask.shown(signal),
        detail=detail,
        attempt=attempt,
        ask=ask.request.query_params.get("ask", ""),
    )


@router.get("/runs/{run}/stream")
async def stream_run(ask: Ask, run: str, v: str = "") -> StreamingResponse:
    """Stream what changes in a run."""
    ask.check("runs:read")
    look = _look(ask, run)
    if await ask.engine.runs.view(look.run_id) is None:
        raise NotFoundError(f"There is no run {look.run_id}.")
    seen = ask.request.headers.get("last-event-id") or v
    key = ("run", ask.tenant_id, look, ask.sharing)
    return ask.site.topics.stream(ask.principal, key, lambda: RunTopic(ask, look), seen=seen)


@router.get("/runs/{run}/steps/{path:path}")
async def show_step(ask: Ask, run: str, path: str, attempt: int | None = None) -> HTMLResponse:
    """Show one step, as a part of the page of its run."""
    ask.check("runs:read")
    look = _look(ask, run)
    detail = await _step(ask, look, path, attempt)
    if detail is None:
        raise NotFoundError(f"There is no step {path[:100]}.")
    return ask.page("_step.html", here="runs", **look.values, detail=detail, attempt=attempt)


@router.post("/runs/{run}/cancel")
async def cancel_run(ask: Ask, run: str) -> RedirectResponse:
    """Cancel a run, and go back to it."""
    ask.check("runs:act")
    look = _look(ask, run)
    reason = (await ask.form()).get("reason", "").strip()
    with acting(ask.principal.actor):
        await ask.engine.runs.cancel(look.run_id, reason or None)
    return RedirectResponse(look.url, SEE_OTHER)


@router.post("/runs/{run}/retry")
async def retry_run(ask: Ask, run: str) -> RedirectResponse:
    """Retry a failed run, and go back to it."""
    ask.check("runs:act")
    look = _look(ask, run)
    with acting(ask.principal.actor):
        await ask.engine.runs.retry(look.run_id)
    return RedirectResponse(look.url, SEE_OTHER)


def _look(ask: Asked, run: str) -> RunLook:
    wanted = ask.request.query_params
    return RunLook(
        run_id=from_segment(run),
        base=ask.base,
        fold=wanted.get("fold") != "0",
        show_all=wanted.get("all") == "1",
    )


def _failed_step(view: RunView) -> str:
    """Return the path of the step that a failed run is opened at; empty for any other run."""
    step = view.run.current_step
    return step.path if step and view.run.status == "failed" else ""


async def _step(ask: Asked, look: RunLook, path: str, attempt: int | None) -> StepView | None:
    """Return a step; None when none was asked for, or there is none of this path."""
    if not path:
        return None
    try:
        found = await ask.engine.runs.step(look.run_id, parse_path(path), claim=attempt)
    except (NotFoundError, ValueError):
        return None
    return ask.shown(found)
