"""Where a visit begins, the list of tenants, the search, and whether the server lives."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from pulse_temporal.model.addresses import segment
from pulse_temporal.model.signal_views import SearchResult
from pulse_temporal.web.asked import Ask, root_of, site_of
from pulse_temporal.web.urls import query

MOST_TENANTS = 100

router = APIRouter()
tenant_router = APIRouter(prefix="/t/{tenant}")


@router.get("/healthz")
async def live() -> PlainTextResponse:
    """Say that the server lives; nothing is asked."""
    return PlainTextResponse("ok\n")


@router.get("/")
async def enter(request: Request) -> Response:
    """Go to the only tenant, or to the list of tenants."""
    principal = await site_of(request).identity.principal(request)
    root = root_of(request)
    if principal.tenants != "*" and len(principal.tenants) == 1:
        (tenant,) = principal.tenants
        return RedirectResponse(f"{root}/t/{segment(tenant)}/")
    return RedirectResponse(f"{root}/tenants")


@router.get("/tenants")
async def show_tenants(request: Request, cursor: str | None = None) -> HTMLResponse:
    """Show the tenants that exist for the principal."""
    site = site_of(request)
    principal = await site.identity.principal(request)
    if principal.tenants == "*":
        page = await site.engine.list_tenants(limit=MOST_TENANTS, cursor=cursor)
        tenants, next_cursor = page.items, page.next_cursor
        names = [each.id for each in tenants]
    else:
        tenants, next_cursor = (), None
        names = sorted(principal.tenants)
    root = root_of(request)
    html = site.renderer.html(
        "tenants.html",
        root=root,
        base=root,
        tenant="",
        principal=principal,
        here="tenants",
        names=names,
        tenants=tenants,
        next_cursor=next_cursor,
    )
    return HTMLResponse(html)


@tenant_router.get("/search")
async def search(ask: Ask, q: str = "") -> Response:
    """Go to what an id names, or show what was found."""
    ask.check("runs:read")
    ask.check("signals:read")
    found = await ask.engine.search(q)
    urls = [_url_of(ask.base, each) for each in found]
    if len(found) == 1 and found[0].matched_by == "id" and urls[0]:
        return RedirectResponse(urls[0])
    return ask.page("search.html", here="", q=q, results=list(zip(found, urls, strict=True)))


def _url_of(base: str, found: SearchResult) -> str:
    """Return the page of something that was found; empty where there is none."""
    match found.kind:
        case "run":
            return f"{base}/runs/{segment(found.id)}"
        case "signal":
            return f"{base}/signals/{segment(found.id)}"
        case "step":
            path = query(step=found.path)
            return f"{base}/runs/{segment(found.run_id)}{path}" if found.run_id else ""
        case "definition":
            return f"{base}/definitions/{segment(found.id)}"
