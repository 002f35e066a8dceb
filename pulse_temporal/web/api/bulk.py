"""Bulk operations: start, foresee, follow and abort them."""

from __future__ import annotations

from pydantic import Field
from starlette.responses import Response

from pulse_temporal.model.addresses import segment
from pulse_temporal.model.bulk import (
    HIGHEST_RATE,
    MOST_NAMED,
    USUAL_RATE,
    BulkFilter,
    BulkItem,
    BulkKind,
    BulkOperation,
    BulkOutcome,
    BulkPreview,
)
from pulse_temporal.model.runs import Page
from pulse_temporal.model.values import Name, Value
from pulse_temporal.web.api.asking import Ask, PageQuery, Reason, found_or_404
from pulse_temporal.web.api.operations import Routes

ACCEPTED = 202
IDEMPOTENCY_HEADER = "idempotency-key"
LOWEST_RATE = 0.01
EXAMPLE: dict[str, object] = {
    "kind": "retry",
    "filter": {"status": "failed", "failedStep": "send_email"},
    "reason": "The mail server is back",
    "rate": 50,
}


class BulkPage(Page[BulkOperation]):
    """One page of bulk operations."""


class BulkItemPage(Page[BulkItem]):
    """One page of the runs of a bulk operation."""


class BulkItemQuery(PageQuery):
    """Which runs of a bulk operation."""

    outcome: BulkOutcome | None = None


class BulkRuns(Value):
    """What to do to which runs.

    Attributes:
        filter: Which runs; its tenant is that of the credential, or of ``Pulse-Tenant``.
        run_ids: Instead of a filter, 1 to 10 000 ids.
    """

    kind: BulkKind
    filter: BulkFilter | None = None
    run_ids: list[str] | None = Field(default=None, max_length=MOST_NAMED)


class NewBulkOperation(BulkRuns):
    """A bulk operation to start.

    Attributes:
        reason: Why, for the timelines and the audit; cut at 1 000 bytes.
        name: For people.
        rate: Runs a second, at most.
    """

    reason: str | None = None
    name: Name | None = None
    rate: float = Field(default=USUAL_RATE, ge=LOWEST_RATE, le=HIGHEST_RATE)


routes = Routes("bulk")


@routes.add(
    "POST",
    "/bulk",
    scope="runs:act",
    gives=BulkOperation,
    body=NewBulkOperation,
    status=ACCEPTED,
    example=EXAMPLE,
)
async def start(call: Ask) -> Response:
    """Start to retry, cancel or replay many runs; workers do it run by run.

    With the header `Idempotency-Key`, a repeat is answered with the operation of the first time.
    """
    wanted = await call.body(NewBulkOperation)
    started = await call.tenant.start_bulk(
        wanted.kind,
        filter=wanted.filter,
        run_ids=wanted.run_ids,
        reason=wanted.reason,
        name=wanted.name,
        rate=wanted.rate,
        idempotency_key=call.request.headers.get(IDEMPOTENCY_HEADER),
    )
    place = {"location": f"bulk/{segment(started.id)}"}
    return call.answer(started, status=ACCEPTED, headers=place)


@routes.add(
    "POST",
    "/bulk/preview",
    scope="runs:act",
    gives=BulkPreview,
    body=BulkRuns,
    example={"kind": "retry", "filter": {"status": "failed"}},
)
async def preview(call: Ask) -> Response:
    """Say what a bulk operation would be about if it began now; nothing is done."""
    wanted = await call.body(BulkRuns)
    return call.answer(
        await call.tenant.preview_bulk(wanted.kind, filter=wanted.filter, run_ids=wanted.run_ids)
    )


@routes.add("GET", "/bulk", scope="runs:read", gives=BulkPage, query=PageQuery)
async def list_(call: Ask) -> Response:
    """Return one page of bulk operations, newest first."""
    wanted = call.query(PageQuery)
    return call.page(await call.engine.list_bulk(limit=wanted.limit, cursor=wanted.cursor))


@routes.add("GET", "/bulk/{operation_id}", scope="runs:read", gives=BulkOperation)
async def get(call: Ask, operation_id: str) -> Response:
    """Return a bulk operation with how far it has come."""
    return call.answer(found_or_404(await call.engine.get_bulk(operation_id)))


@routes.add(
    "GET",
    "/bulk/{operation_id}/items",
    scope="runs:read",
    gives=BulkItemPage,
    query=BulkItemQuery,
)
async def items(call: Ask, operation_id: str) -> Response:
    """Return one page of the runs of a bulk operation, in the order of their turns."""
    wanted = call.query(BulkItemQuery)
    page = await call.engine.list_bulk_items(
        operation_id, outcome=wanted.outcome, limit=wanted.limit, cursor=wanted.cursor
    )
    return call.page(page)


@routes.add(
    "POST",
    "/bulk/{operation_id}/abort",
    scope="runs:act",
    gives=BulkOperation,
    body=Reason,
    example={"reason": "The wrong day"},
)
async def abort(call: Ask, operation_id: str) -> Response:
    """End a bulk operation: nothing is done to the runs whose turn has not come."""
    reason = (await call.body(Reason)).reason
    return call.answer(await call.engine.abort_bulk(operation_id, reason=reason))


@routes.add(
    "POST",
    "/bulk/{operation_id}/repeat",
    scope="runs:act",
    gives=BulkOperation,
    body=Reason,
    status=ACCEPTED,
    example={"reason": "Once more"},
)
async def repeat(call: Ask, operation_id: str) -> Response:
    """Start another bulk operation, for the runs with which one has failed."""
    reason = (await call.body(Reason)).reason
    started = await call.engine.repeat_bulk(operation_id, reason=reason)
    return call.answer(started, status=ACCEPTED)
