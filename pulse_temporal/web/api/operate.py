"""What operators ask: tenants, workers, health, repair; and the search."""

from __future__ import annotations

from starlette.responses import Response

from pulse_temporal.model.health import HealthReport
from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.web.api.asking import Ask, PageQuery
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.problems import AWAY
from pulse_temporal.web.api.shapes import (
    HealthQuery,
    ReconcileRequest,
    SearchQuery,
    SearchResults,
    TenantPage,
    WorkerList,
)
from pulse_temporal.web.guard.identity import check_scope

routes = Routes("operate")
search_routes = Routes("search")


@routes.add("GET", "/tenants", scope="operate:read", gives=TenantPage, query=PageQuery)
async def list_tenants(call: Ask) -> Response:
    """Return one page of tenants that have a signal or a definition; for keys of all tenants."""
    call.check_all_tenants()
    wanted = call.query(PageQuery)
    return call.page(await call.site.engine.list_tenants(limit=wanted.limit, cursor=wanted.cursor))


@routes.add("GET", "/workers", scope="operate:read", gives=WorkerList)
async def list_workers(call: Ask) -> Response:
    """Return the processes that take work, last seen first; for keys of all tenants."""
    call.check_all_tenants()
    return call.items(await call.site.engine.list_workers())


@routes.add(
    "GET",
    "/health",
    scope="operate:read",
    gives=HealthReport,
    query=HealthQuery,
    also=(AWAY,),
)
async def health(call: Ask) -> Response:
    """Look at everything that Pulse stands on; 503 when a check has failed.

    For keys of all tenants.
    """
    call.check_all_tenants()
    report = await call.site.engine.check_health(compare=call.query(HealthQuery).compare)
    return call.answer(report, status=AWAY if report.status == "failed" else 200)


@routes.add(
    "POST",
    "/reconcile",
    scope="runs:act",
    gives=ReconcileReport,
    body=ReconcileRequest,
    example={"dryRun": True},
)
async def reconcile(call: Ask) -> Response:
    """Compare all open runs and schedules with Temporal, and repair what differs.

    For keys of all tenants that may also see workers.
    """
    check_scope(call.principal, "operate:read")
    call.check_all_tenants()
    wanted = await call.body(ReconcileRequest)
    return call.answer(
        await call.site.engine.reconcile(dry_run=wanted.dry_run, confirm=wanted.confirm)
    )


@search_routes.add("GET", "/search", scope="runs:read", gives=SearchResults, query=SearchQuery)
async def find(call: Ask) -> Response:
    """Find runs, signals, definitions and steps by what a person types; 20 at most.

    It takes `signals:read` too.
    """
    check_scope(call.principal, "signals:read")
    return call.items(await call.engine.search(call.query(SearchQuery).q))
