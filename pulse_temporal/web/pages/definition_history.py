"""What a definition was: its versions, what differs between two, and going back to one."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment
from pulse_temporal.model.definitions import DefinitionVersion
from pulse_temporal.model.diff import difference_of
from pulse_temporal.model.diff_lines import line_differences
from pulse_temporal.web.asked import Ask, Asked
from pulse_temporal.web.pages.definitions import url_of
from pulse_temporal.web.render import pretty
from pulse_temporal.web.urls import query

PAGE_VERSIONS = 50
SEE_OTHER = 303
NO_SUCH = "There is no such version."

router = APIRouter(prefix="/t/{tenant}/definitions/{definition}")


@router.get("/versions")
async def show_versions(ask: Ask, definition: str) -> HTMLResponse:
    """Show who has changed a definition, when and why; a deleted one has versions still."""
    ask.check("definitions:read")
    definition_id = from_segment(definition)
    cursor = ask.request.query_params.get("cursor", "")
    page = await ask.engine.definitions.list_versions(
        definition_id, limit=PAGE_VERSIONS, cursor=cursor or None
    )
    current = await ask.engine.definitions.get(definition_id)
    base = url_of(ask, definition_id)
    return ask.page(
        "definition_versions.html",
        here="definitions",
        page=page,
        definition=current,
        definition_id=definition_id,
        definition_url=base,
        cursor=cursor,
        older_url=f"{base}/versions{query(cursor=page.next_cursor)}",
    )


@router.get("/diff")
async def show_difference(ask: Ask, definition: str) -> HTMLResponse:
    """Show what differs between two versions, step by step, and line by line of their JSON."""
    ask.check("definitions:read")
    definition_id = from_segment(definition)
    given = ask.request.query_params
    newer = _number(given.get("to", ""))
    older = _number(given.get("from", ""))
    if newer is None:
        newest = await ask.engine.definitions.list_versions(definition_id, limit=1)
        newer = newest.items[0].version
    if older is None:
        older = max(newer - 1, 1)
    old, new = await _version(ask, definition_id, older), await _version(ask, definition_id, newer)
    current = await ask.engine.definitions.get(definition_id)
    before, after = ask.shown(old), ask.shown(new)
    # Fields of the true contents, each shown as it may be seen: else a change of what is hidden
    # would be no change.
    difference = (
        ask.shown(difference_of(old.content, new.content))
        if old.content is not None and new.content is not None
        else None
    )
    return ask.page(
        "definition_diff.html",
        here="definitions",
        name=(new.content or {}).get("name", definition_id),
        definition_url=url_of(ask, definition_id),
        old=before,
        new=after,
        difference=difference,
        lines=line_differences(pretty(before.content), pretty(after.content))
        if difference is not None
        else None,
        current_version=current.version if current else None,
        ask=given.get("ask", ""),
    )


@router.post("/restore")
async def restore_version(ask: Ask, definition: str) -> RedirectResponse:
    """Make an old content the newest version, and go to the definition."""
    ask.check("definitions:write")
    definition_id = from_segment(definition)
    form = await ask.form()
    number = _number(form.get("number", ""))
    if number is None:
        raise NotFoundError(NO_SUCH)
    with acting(ask.principal.actor):
        await ask.engine.definitions.restore_version(
            definition_id,
            number,
            version=_number(form.get("version", "")),
            note=form.get("reason", "").strip() or None,
        )
    return RedirectResponse(url_of(ask, definition_id), SEE_OTHER)


async def _version(ask: Asked, definition_id: str, number: int) -> DefinitionVersion:
    found = await ask.engine.definitions.get_version(definition_id, number)
    if found is None:
        raise NotFoundError(NO_SUCH)
    return found


def _number(text: str) -> int | None:
    """Return the number of a version; None when none is given.

    Raises:
        NotFoundError: It is no number of a version.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:11]) < 2**31:
        raise NotFoundError(NO_SUCH)
    return int(text[:11])
