"""Definitions: the list, one of them, and letting it match or not."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment, segment
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.graph import graph_of, steps_of
from pulse_temporal.web.asked import Ask, Asked
from pulse_temporal.web.pages.definition_looks import clock_of, starts_on, step_looks
from pulse_temporal.web.urls import query

PAGE_DEFINITIONS = 25
SHOWN_RUNS = 8
SHOWN_VERSIONS = 8
SHOWN_TIMES = 5
COUNTED = timedelta(days=7)
SEE_OTHER = 303
ENABLED = {"": None, "yes": True, "no": False}

router = APIRouter(prefix="/t/{tenant}")


@router.get("/definitions")
async def show_definitions(ask: Ask) -> HTMLResponse:
    """Show one page of a tenant's definitions."""
    ask.check("definitions:read")
    given = ask.request.query_params
    enabled = given.get("enabled", "")
    if enabled not in ENABLED:
        raise InvalidInputError("enabled must be yes or no.")
    filters = {"type": given.get("type", ""), "enabled": enabled}
    page = await ask.engine.definitions.list(
        trigger_type=filters["type"] or None,
        is_enabled=ENABLED[enabled],
        limit=PAGE_DEFINITIONS,
        cursor=given.get("cursor") or None,
    )
    now = utc_now()
    activity = await ask.engine.definitions.activity(
        [each.id for each in page.items], created_after=now - COUNTED
    )
    return ask.page(
        "definitions.html",
        here="definitions",
        page=page,
        activity=activity,
        clocks={each.id: clock_of(each, now=now) for each in page.items},
        filters=filters,
        cursor=given.get("cursor", ""),
        more_url=f"{ask.base}/definitions{query(**filters, cursor=page.next_cursor)}",
        newest_url=f"{ask.base}/definitions{query(**filters)}",
    )


@router.get("/definitions/{definition}")
async def show_definition(ask: Ask, definition: str) -> HTMLResponse:
    """Show a definition: what starts it, its steps, its newest runs and versions."""
    ask.check("definitions:read")
    found = ask.shown(await definition_of(ask, definition))
    now = utc_now()
    activity = await ask.engine.definitions.activity([found.id], created_after=now - COUNTED)
    runs = await ask.engine.runs.list_summaries(definition_id=found.id, limit=SHOWN_RUNS)
    versions = await ask.engine.definitions.list_versions(found.id, limit=SHOWN_VERSIONS)
    return ask.page(
        "definition.html",
        here="definitions",
        definition=found,
        definition_url=url_of(ask, found.id),
        starts_on=starts_on(found),
        clock=clock_of(found, now=now, number=SHOWN_TIMES),
        steps=step_looks(found),
        graph=graph_of(steps_of(found)),
        activity=activity.get(found.id),
        runs=ask.shown(runs),
        versions=versions,
        run_url="",
        states={},
        ask=ask.request.query_params.get("ask", ""),
    )


@router.post("/definitions/{definition}/enable")
async def enable_definition(ask: Ask, definition: str) -> RedirectResponse:
    """Let a definition match signals, and go back to it."""
    ask.check("definitions:write")
    definition_id = from_segment(definition)
    with acting(ask.principal.actor):
        await ask.engine.definitions.enable(definition_id, note=await reason_of(ask))
    return RedirectResponse(url_of(ask, definition_id), SEE_OTHER)


@router.post("/definitions/{definition}/disable")
async def disable_definition(ask: Ask, definition: str) -> RedirectResponse:
    """Let a definition match no more signals, and go back to it."""
    ask.check("definitions:write")
    definition_id = from_segment(definition)
    with acting(ask.principal.actor):
        await ask.engine.definitions.disable(definition_id, note=await reason_of(ask))
    return RedirectResponse(url_of(ask, definition_id), SEE_OTHER)


@router.post("/definitions/{definition}/delete")
async def delete_definition(ask: Ask, definition: str) -> RedirectResponse:
    """Delete a definition, and go to the list."""
    ask.check("definitions:write")
    reason = await reason_of(ask)
    if reason is None:
        raise InvalidInputError("Say why the definition is deleted.")
    with acting(ask.principal.actor):
        await ask.engine.definitions.delete(from_segment(definition), note=reason)
    return RedirectResponse(f"{ask.base}/definitions", SEE_OTHER)


async def definition_of(ask: Asked, text: str) -> WorkflowDefinition:
    """Return the definition that a part of the address names.

    Raises:
        NotFoundError: The tenant has none of this id.
    """
    definition_id = from_segment(text)
    found = await ask.engine.definitions.get(definition_id)
    if found is None:
        raise NotFoundError(f"There is no definition {definition_id}.")
    return found


async def reason_of(ask: Asked) -> str | None:
    """Return why something is done, as its form says it."""
    return (await ask.form()).get("reason", "").strip() or None


def url_of(ask: Asked, definition_id: str) -> str:
    """Return the address of a definition's page."""
    return f"{ask.base}/definitions/{segment(definition_id)}"
