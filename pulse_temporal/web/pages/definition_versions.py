"""The versions of a definition: who made them, what they changed, and the way back."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment
from pulse_temporal.model.definitions import DefinitionVersion
from pulse_temporal.model.diff import difference_of
from pulse_temporal.web.asked import Ask
from pulse_temporal.web.pages.definitions import SEE_OTHER, url_of
from pulse_temporal.web.urls import query

PAGE_VERSIONS = 50
LARGEST = 2**31 - 1

router = APIRouter(prefix="/t/{tenant}/definitions/{definition}")


@router.get("/versions")
async def show_versions(ask: Ask, definition: str) -> HTMLResponse:
    """Show one page of a definition's versions; also of a deleted one."""
    ask.check("definitions:read")
    definition_id = from_segment(definition)
    cursor = ask.request.query_params.get("cursor", "")
    found = await ask.engine.definitions.get(definition_id)
    page = await ask.engine.definitions.list_versions(
        definition_id, limit=PAGE_VERSIONS, cursor=cursor or None
    )
    url = url_of(ask, definition_id)
    return ask.page(
        "versions.html",
        here="definitions",
        definition=found,
        definition_id=definition_id,
        definition_url=url,
        page=page,
        cursor=cursor,
        older_url=f"{url}/versions{query(cursor=page.next_cursor)}",
    )


@router.get("/diff")
async def show_difference(ask: Ask, definition: str) -> HTMLResponse:
    """Show what differs between two versions, and offer to restore the older one."""
    ask.check("definitions:read")
    definition_id = from_segment(definition)
    given = ask.request.query_params
    new = await _version(ask, definition_id, _number(given.get("to", "")))
    before = given.get("from") or str(max(new.version - 1, 1))
    old = await _version(ask, definition_id, _number(before))
    present = await ask.engine.definitions.get(definition_id)
    return ask.page(
        "difference.html",
        here="definitions",
        definition=present,
        definition_id=definition_id,
        definition_url=url_of(ask, definition_id),
        old=ask.shown(old),
        new=ask.shown(new),
        difference=ask.shown(difference_of(old.content or {}, new.content or {})),
        ask=given.get("ask", ""),
    )


@router.post("/versions/{number}/restore")
async def restore_version(ask: Ask, definition: str, number: str) -> RedirectResponse:
    """Make a new version with the content of an old one, and go to the definition."""
    ask.check("definitions:write")
    definition_id = from_segment(definition)
    form = await ask.form()
    with acting(ask.principal.actor):
        await ask.engine.definitions.restore_version(
            definition_id,
            _number(number),
            version=_number(form.get("version", "")),
            note=form.get("reason", "").strip() or None,
        )
    return RedirectResponse(url_of(ask, definition_id), SEE_OTHER)


async def _version(ask: Ask, definition_id: str, number: int) -> DefinitionVersion:
    found = await ask.engine.definitions.get_version(definition_id, number)
    if found is None:
        raise NotFoundError(f"Definition {definition_id} has no version {number}.")
    return found


def _number(text: str) -> int:
    """Return the number of a version.

    Raises:
        InvalidInputError: It is none.
    """
    if text.isascii() and text.isdecimal() and len(text) < len(str(LARGEST)):
        return int(text)
    raise InvalidInputError("A version is a whole number.")
