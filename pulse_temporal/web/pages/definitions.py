"""Definitions: the list, and one of them with its steps, its graph and its newest runs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.addresses import from_segment, segment
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.graph import graph_of, steps_of
from pulse_temporal.model.outline import outline_of
from pulse_temporal.web.asked import Ask
from pulse_temporal.web.urls import query

PAGE_DEFINITIONS = 50
NEWEST_RUNS = 8
NEWEST_VERSIONS = 5
NEXT_TICKS = 5
SEE_OTHER = 303
ENABLED = {"": None, "yes": True, "no": False}

router = APIRouter(prefix="/t/{tenant}/definitions")


@router.get("")
async def show_definitions(ask: Ask) -> HTMLResponse:
    """Show one page of a tenant's definitions."""
    ask.check("definitions:read")
    given = ask.request.query_params
    enabled = given.get("enabled", "")
    if enabled not in ENABLED:
        raise InvalidInputError("enabled must be yes or no.")
    page = await ask.engine.definitions.list(
        limit=PAGE_DEFINITIONS,
        cursor=given.get("cursor") or None,
        trigger_type=given.get("type") or None,
        is_enabled=ENABLED[enabled],
    )
    filters = {name: given.get(name, "") for name in ("type", "enabled")}
    return ask.page(
        "definitions.html",
        here="definitions",
        page=page,
        filters=filters,
        cursor=given.get("cursor", ""),
        older_url=f"{ask.base}/definitions{query(**filters, cursor=page.next_cursor)}",
        newest_url=f"{ask.base}/definitions{query(**filters)}",
    )


@router.get("/{definition}")
async def show_definition(ask: Ask, definition: str) -> HTMLResponse:
    """Show a definition."""
    ask.check("definitions:read")
    found = await definition_of(ask, definition)
    runs = None
    if ask.principal.may("runs:read"):
        runs = await ask.engine.runs.list_summaries(limit=NEWEST_RUNS, definition_id=found.id)
    versions = await ask.engine.definitions.list_versions(found.id, limit=NEWEST_VERSIONS)
    ticks = []
    if found.cron_expression and found.is_enabled:
        ticks = await ask.engine.definitions.next_times(found.id, NEXT_TICKS)
    steps = steps_of(ask.shown(found))
    return ask.page(
        "definition.html",
        here="definitions",
        definition=ask.shown(found),
        definition_url=url_of(ask, found.id),
        steps=outline_of(steps),
        graph=graph_of(steps),
        states={},
        run_url="",
        runs=ask.shown(runs),
        versions=versions,
        ticks=ticks,
        ask=ask.request.query_params.get("ask", ""),
    )


@router.post("/{definition}/enable")
async def enable_definition(ask: Ask, definition: str) -> RedirectResponse:
    """Let a definition match signals."""
    ask.check("definitions:write")
    note = await _note(ask)
    definition_id = from_segment(definition)
    with acting(ask.principal.actor):
        await ask.engine.definitions.enable(definition_id, note=note)
    return RedirectResponse(url_of(ask, definition_id), SEE_OTHER)


@router.post("/{definition}/disable")
async def disable_definition(ask: Ask, definition: str) -> RedirectResponse:
    """Let a definition match no more signals."""
    ask.check("definitions:write")
    note = await _note(ask)
    definition_id = from_segment(definition)
    with acting(ask.principal.actor):
        await ask.engine.definitions.disable(definition_id, note=note)
    return RedirectResponse(url_of(ask, definition_id), SEE_OTHER)


@router.post("/{definition}/delete")
async def delete_definition(ask: Ask, definition: str) -> RedirectResponse:
    """Delete a definition, and go to the list."""
    ask.check("definitions:write")
    note = await _note(ask)
    if note is None:
        raise InvalidInputError("Say why the definition is deleted.")
    with acting(ask.principal.actor):
        await ask.engine.definitions.delete(from_segment(definition), note=note)
    return RedirectResponse(f"{ask.base}/definitions", SEE_OTHER)


async def definition_of(ask: Ask, definition: str) -> WorkflowDefinition:
    """Return the definition that a part of a URL names.

    Raises:
        NotFoundError: The tenant has none of this id.
    """
    definition_id = from_segment(definition)
    found = await ask.engine.definitions.get(definition_id)
    if found is None:
        raise NotFoundError(f"There is no definition {definition_id}.")
    return found


def url_of(ask: Ask, definition_id: str) -> str:
    """Return the address of a definition's page."""
    return f"{ask.base}/definitions/{segment(definition_id)}"


async def _note(ask: Ask) -> str | None:
    """Return the reason that a form gives; None where it gives none."""
    return (await ask.form()).get("reason", "").strip() or None
