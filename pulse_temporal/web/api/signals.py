"""Signals: emit them, read them, replay them, ask why they did what they did."""

from __future__ import annotations

from starlette.responses import Response

from pulse_temporal.errors import InvalidInputError, Problem
from pulse_temporal.model.explain import Explanation
from pulse_temporal.model.runs import Page, WorkflowRun
from pulse_temporal.model.signal_views import SignalChain
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.values import JsonObject
from pulse_temporal.web.api.asking import MOST_BATCH_BYTES, Ask, Asking, PageQuery, found_or_404
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.problems import FieldsError
from pulse_temporal.web.api.shapes import (
    Batch,
    EmittedSignals,
    ReplayedRuns,
    ReplayRequest,
    RunPage,
    Signal,
    SignalPage,
    SignalPageQuery,
)

CREATED, REPEATED = 201, 200
IDEMPOTENCY_HEADER = "idempotency-key"
SPELLINGS = ("idempotencyKey", "idempotency_key")

EXAMPLE: dict[str, object] = {
    "source": "shop",
    "type": "order.paid",
    "resourceType": "order",
    "resourceId": "o-1",
    "payload": {"total": 1250},
}

routes = Routes("signals")


@routes.add(
    "POST",
    "/signals",
    scope="signals:emit",
    gives=TriggerEnvelope,
    body=Signal,
    status=CREATED,
    also=(REPEATED,),
    example=EXAMPLE,
)
async def emit(call: Ask) -> Response:
    """Store a signal and plan a run for every definition that it matches.

    With the header `Idempotency-Key`, a repeat of the same signal is answered with the first one
    and status 200, another signal under the same key is refused.
    """
    found = await call.tenant.signals.emit(await _signal(call))
    return call.answer(found, status=REPEATED if found.duplicate else CREATED)


@routes.add(
    "POST",
    "/signals/batch",
    scope="signals:emit",
    gives=EmittedSignals,
    body=Batch,
    status=CREATED,
    example={"signals": [EXAMPLE]},
)
async def emit_many(call: Ask) -> Response:
    """Store up to 1 000 signals, all or none; the payloads have at most 16 MiB together."""
    given = await call.json(most=MOST_BATCH_BYTES)
    signals = given.pop("signals", None)
    if given or not isinstance(signals, list):
        raise FieldsError([Problem("", 'must be {"signals": [...]} and nothing else')])
    objects = [each for each in signals if isinstance(each, dict)]
    if len(objects) < len(signals):
        raise FieldsError([Problem("/signals", "must have objects only")])
    found = await call.tenant.signals.emit_many(objects)
    page = Page[TriggerEnvelope](items=tuple(found))
    return call.answer(page, status=CREATED)


@routes.add(
    "POST",
    "/signals/explain",
    scope="signals:read",
    gives=Explanation,
    body=Signal,
    example=EXAMPLE,
)
async def explain_new(call: Ask) -> Response:
    """Say what a signal would start if it was emitted now; nothing is emitted."""
    return call.answer(await call.tenant.signals.explain(await _signal(call)))


@routes.add("GET", "/signals", scope="signals:read", gives=SignalPage, query=SignalPageQuery)
async def list_(call: Ask) -> Response:
    """Return one page of a tenant's signals, newest first, without their payloads.

    Go on until `nextCursor` is null, not until a page is short.
    """
    wanted = call.query(SignalPageQuery)
    fields = wanted.model_dump(exclude={"limit", "cursor", "matched"}, by_alias=False)
    page = await call.tenant.signals.list(
        limit=wanted.limit, cursor=wanted.cursor, is_matched=wanted.matched, **fields
    )
    return call.page(page)


@routes.add("GET", "/signals/{signal_id}", scope="signals:read", gives=TriggerEnvelope)
async def get(call: Ask, signal_id: str) -> Response:
    """Return a signal with its payload."""
    return call.answer(found_or_404(await call.engine.signals.get(signal_id)))


@routes.add("GET", "/signals/{signal_id}/runs", scope="runs:read", gives=RunPage, query=PageQuery)
async def runs(call: Ask, signal_id: str) -> Response:
    """Return one page of the runs of a signal and of its replays, newest first."""
    wanted = call.query(PageQuery)
    found_or_404(await call.engine.signals.get(signal_id))
    page = await call.engine.runs.list_summaries(
        trigger_id=signal_id, limit=wanted.limit, cursor=wanted.cursor
    )
    return call.page(page)


@routes.add("GET", "/signals/{signal_id}/explanation", scope="signals:read", gives=Explanation)
async def explanation(call: Ask, signal_id: str) -> Response:
    """Say why a signal did or did not start a run of each definition, as of its own moment."""
    return call.answer(await call.engine.signals.explain(signal_id))


@routes.add("GET", "/signals/{signal_id}/chain", scope="signals:read", gives=SignalChain)
async def chain(call: Ask, signal_id: str) -> Response:
    """Return the chain that a signal belongs to, as a tree."""
    return call.answer(await call.engine.signals.chain(signal_id))


@routes.add(
    "POST",
    "/signals/{signal_id}/replay",
    scope="runs:act",
    gives=ReplayedRuns,
    body=ReplayRequest,
    status=CREATED,
    example={"dryRun": False, "reason": "Mail was down"},
)
async def replay(call: Ask, signal_id: str) -> Response:
    """Run a signal again, with the definitions that match it now.

    With the header `Idempotency-Key`, a repeat gives the runs of the first time.
    """
    wanted = await call.body(ReplayRequest)
    found = await call.tenant.signals.replay(
        signal_id,
        dry_run=wanted.dry_run,
        reason=wanted.reason,
        idempotency_key=idempotency_key(call),
    )
    return call.answer(Page[WorkflowRun](items=tuple(found)), status=CREATED)


def idempotency_key(call: Asking) -> str | None:
    """Return the key of the header; None without one."""
    return call.request.headers.get(IDEMPOTENCY_HEADER)


async def _signal(call: Asking) -> JsonObject:
    """Return the signal that was sent, with the key of the header in it.

    Raises:
        InvalidInputError: Header and body have different keys.
    """
    signal = await call.json()
    key = idempotency_key(call)
    if key is None:
        return signal
    if any(signal.pop(name, key) != key for name in SPELLINGS):
        raise InvalidInputError("The header Idempotency-Key and the body have different keys.")
    return {**signal, "idempotencyKey": key}
