"""Bulk operations: the list of them, the question before one begins, and one with its runs."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from secrets import token_urlsafe

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, StreamingResponse
from typing_extensions import override

from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment, segment
from pulse_temporal.model.bulk import USUAL_RATE, BulkItem, BulkOperation, BulkOutcome
from pulse_temporal.model.runs import Page
from pulse_temporal.web.asked import Ask, Asked
from pulse_temporal.web.pages.bulk_wish import first_wish, read_wish
from pulse_temporal.web.render import Renderer
from pulse_temporal.web.topics import Picture, Topic, partial

SEE_OTHER = 303
PAGE_ITEMS = 50
LOOK_EVERY_SECONDS = 1.0
OUTCOMES: tuple[BulkOutcome, ...] = ("pending", "done", "failed", "skipped")

router = APIRouter(prefix="/t/{tenant}/bulk")


@router.get("")
async def show_operations(ask: Ask, cursor: str | None = None) -> HTMLResponse:
    """Show one page of a tenant's bulk operations."""
    ask.check("runs:read")
    page = ask.shown(await ask.engine.list_bulk(limit=PAGE_ITEMS, cursor=cursor))
    picture = OperationsPicture(_name(page), page, ask.site.renderer, ask.frame)
    return ask.page("bulk.html", here="bulk", page=page, cursor=cursor, version=picture.name)


@router.get("/stream")
async def stream_operations(ask: Ask, v: str = "") -> StreamingResponse:
    """Stream what changes in the newest bulk operations."""
    ask.check("runs:read")
    seen = ask.request.headers.get("last-event-id") or v
    key = ("bulk", ask.tenant_id, ask.sharing)
    return ask.site.topics.stream(ask.principal, key, lambda: OperationsTopic(ask), seen=seen)


@router.get("/new")
async def ask_before(ask: Ask, part: str = "") -> HTMLResponse:
    """Ask before something is done to many runs, and say to which; as a page or as a dialog."""
    ask.check("runs:act")
    given = ask.request.query_params
    wish = first_wish(given, tuple(given.getlist("run")))
    seen = ask.shown(
        await ask.engine.preview_bulk(wish.kind, filter=wish.filter, run_ids=wish.run_ids or None)
    )
    return ask.page(
        "_bulk_dialog.html" if part else "bulk_new.html",
        here="bulk",
        wish=wish,
        seen=seen,
        rate=USUAL_RATE,
        key=token_urlsafe(16),
    )


@router.post("")
async def start(ask: Ask) -> RedirectResponse:
    """Start a bulk operation, and go to it."""
    ask.check("runs:act")
    form = await ask.form()
    wish = read_wish(form)
    reason = form.get("reason", "").strip()
    if not reason:
        raise InvalidInputError("Say why: the reason stands in timelines and in the audit.")
    with acting(ask.principal.actor):
        started = await ask.engine.start_bulk(
            wish.kind,
            filter=wish.filter,
            run_ids=wish.run_ids or None,
            reason=reason,
            name=form.get("name", "").strip() or None,
            rate=_rate(form.get("rate", "")),
            idempotency_key=form.get("key") or None,
        )
    return RedirectResponse(_url(ask, started.id), SEE_OTHER)


@router.get("/{operation}")
async def show_operation(
    ask: Ask, operation: str, outcome: str = "", cursor: str = ""
) -> HTMLResponse:
    """Show a bulk operation and one page of its runs."""
    ask.check("runs:read")
    picture = await _look(ask, from_segment(operation), _outcome(outcome), cursor)
    return ask.page(
        "bulk_operation.html",
        here="bulk",
        version=picture.name,
        ask=ask.request.query_params.get("ask", ""),
        **picture.values,
    )


@router.get("/{operation}/stream")
async def stream_operation(
    ask: Ask, operation: str, outcome: str = "", cursor: str = "", v: str = ""
) -> StreamingResponse:
    """Stream what changes in a bulk operation and the runs that are shown."""
    ask.check("runs:read")
    asked = (from_segment(operation), _outcome(outcome), cursor)
    await _look(ask, *asked)  # answers for one that is not there
    seen = ask.request.headers.get("last-event-id") or v
    key = ("bulk operation", ask.tenant_id, ask.sharing, *asked)
    return ask.site.topics.stream(
        ask.principal, key, lambda: OperationTopic(ask, *asked), seen=seen
    )


@router.post("/{operation}/abort")
async def abort(ask: Ask, operation: str) -> RedirectResponse:
    """Abort a bulk operation, and go back to it."""
    ask.check("runs:act")
    operation_id = from_segment(operation)
    reason = (await ask.form()).get("reason", "").strip()
    with acting(ask.principal.actor):
        await ask.engine.abort_bulk(operation_id, reason=reason or None)
    return RedirectResponse(_url(ask, operation_id), SEE_OTHER)


@router.post("/{operation}/repeat")
async def repeat(ask: Ask, operation: str) -> RedirectResponse:
    """Try those runs again with which a bulk operation has failed, and go to that one."""
    ask.check("runs:act")
    with acting(ask.principal.actor):
        started = await ask.engine.repeat_bulk(from_segment(operation))
    return RedirectResponse(_url(ask, started.id), SEE_OTHER)


@dataclass(frozen=True)
class OperationsPicture(Picture):
    """What the list of bulk operations shows."""

    name: str
    page: Page[BulkOperation]
    renderer: Renderer
    frame: dict[str, object]

    @override
    def whole(self) -> str:
        html = self.renderer.html("_bulk_list.html", **self.frame, page=self.page)
        return partial("operations", html)

    @override
    def since(self, seen: Picture) -> str:
        return self.whole()


class OperationsTopic(Topic):
    """Looks at the newest bulk operations once a second."""

    def __init__(self, ask: Asked) -> None:
        super().__init__()
        self._ask = ask

    @override
    async def keep(self) -> None:
        while True:
            page = self._ask.shown(await self._ask.engine.list_bulk(limit=PAGE_ITEMS))
            renderer, frame = self._ask.site.renderer, self._ask.frame
            self.show(OperationsPicture(_name(page), page, renderer, frame))
            await asyncio.sleep(LOOK_EVERY_SECONDS)


@dataclass(frozen=True)
class OperationPicture(Picture):
    """What the page of a bulk operation shows."""

    name: str
    operation: BulkOperation
    items: Page[BulkItem]
    outcome: str
    cursor: str
    url: str
    renderer: Renderer
    frame: dict[str, object]

    @property
    def values(self) -> dict[str, object]:
        """What its templates show."""
        return {
            "operation": self.operation,
            "items": self.items,
            "outcome": self.outcome,
            "outcomes": OUTCOMES,
            "cursor": self.cursor,
            "operation_url": self.url,
        }

    @override
    def whole(self) -> str:
        return self._head() + self._items()

    @override
    def since(self, seen: Picture) -> str:
        if not isinstance(seen, OperationPicture):
            return self.whole()
        head = self._head() if seen.operation != self.operation else ""
        return head + (self._items() if seen.items != self.items else "")

    def _head(self) -> str:
        return partial("bulk-head", self._html("_bulk_head.html"))

    def _items(self) -> str:
        return partial("items", self._html("_bulk_items.html"))

    def _html(self, template: str) -> str:
        return self.renderer.html(template, **self.frame, **self.values)


class OperationTopic(Topic):
    """Looks at a bulk operation once a second."""

    def __init__(
        self, ask: Asked, operation_id: str, outcome: BulkOutcome | None, cursor: str
    ) -> None:
        super().__init__()
        self._ask = ask
        self._asked = (operation_id, outcome, cursor)

    @override
    async def keep(self) -> None:
        while True:
            self.show(await _look(self._ask, *self._asked))
            await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _look(
    ask: Asked, operation_id: str, outcome: BulkOutcome | None, cursor: str
) -> OperationPicture:
    """Read what the page of a bulk operation shows.

    Raises:
        NotFoundError: There is no such operation.
    """
    operation = await ask.engine.get_bulk(operation_id)
    if operation is None:
        raise NotFoundError(f"There is no bulk operation {operation_id}.")
    found = ask.shown(operation)
    items = ask.shown(
        await ask.engine.list_bulk_items(
            found.id, outcome=outcome, limit=PAGE_ITEMS, cursor=cursor or None
        )
    )
    shown = _name(items, found.model_dump_json())
    url = _url(ask, found.id)
    renderer, frame = ask.site.renderer, ask.frame
    return OperationPicture(shown, found, items, outcome or "", cursor, url, renderer, frame)


def _name(page: Page[BulkOperation] | Page[BulkItem], more: str = "") -> str:
    shown = hashlib.blake2s(page.model_dump_json().encode(), digest_size=8)
    shown.update(more.encode())
    return shown.hexdigest()


def _url(ask: Asked, operation_id: str) -> str:
    return f"{ask.base}/bulk/{segment(operation_id)}"


def _outcome(text: str) -> BulkOutcome | None:
    """Return the outcome that a URL asks for.

    Raises:
        InvalidInputError: There is none of this name.
    """
    if not text:
        return None
    for outcome in OUTCOMES:
        if outcome == text:
            return outcome
    raise InvalidInputError(f"outcome must be one of {', '.join(OUTCOMES)}.")


def _rate(text: str) -> float:
    """Return the rate that somebody has written.

    Raises:
        InvalidInputError: It is no number.
    """
    try:
        return float(text or USUAL_RATE)
    except ValueError:
        pass
    raise InvalidInputError(f"{text[:20]!r} is no number of runs a second.")
