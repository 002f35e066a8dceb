"""Versions of definitions, and sets of definitions."""

from __future__ import annotations

from starlette.responses import Response

from pulse_temporal.errors import DefinitionConflictError, Problem
from pulse_temporal.model.definitions import DefinitionVersion
from pulse_temporal.model.plan import DefinitionsPlan
from pulse_temporal.model.values import JsonObject
from pulse_temporal.web.api.asking import MOST_BATCH_BYTES, Ask, Asking, PageQuery, found_or_404
from pulse_temporal.web.api.definitions import (
    EXAMPLE,
    stored,
    tag_of,
    version_differs,
    wanted_version,
)
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.problems import FieldsError
from pulse_temporal.web.api.shapes import DefinitionSetRequest, Note, StoredDefinition, VersionPage

SET: dict[str, object] = {"setName": "shop", "documents": [{**EXAMPLE, "key": "ship"}]}

routes = Routes("definitions")


@routes.add(
    "GET",
    "/definitions/{definition_id}/versions",
    scope="definitions:read",
    gives=VersionPage,
    query=PageQuery,
)
async def list_versions(call: Ask, definition_id: str) -> Response:
    """Return one page of a definition's versions, newest first, without their content."""
    wanted = call.query(PageQuery)
    page = await call.engine.definitions.list_versions(
        definition_id, limit=wanted.limit, cursor=wanted.cursor
    )
    return call.page(page)


@routes.add(
    "GET",
    "/definitions/{definition_id}/versions/{number}",
    scope="definitions:read",
    gives=DefinitionVersion,
)
async def get_version(call: Ask, definition_id: str, number: int) -> Response:
    """Return a version with all that the definition was then."""
    found = await call.engine.definitions.get_version(definition_id, number)
    return call.answer(found_or_404(found))


@routes.add(
    "POST",
    "/definitions/{definition_id}/versions/{number}/restore",
    scope="definitions:write",
    gives=StoredDefinition,
    body=Note,
    example={"note": "The new one is wrong"},
)
async def restore_version(call: Ask, definition_id: str, number: int) -> Response:
    """Make a new version with the content of an old one; `If-Match` as of a change."""
    version = wanted_version(call)
    note = (await call.body(Note)).note
    try:
        restored = await call.tenant.definitions.restore_version(
            definition_id, number, version=version, note=note
        )
    except DefinitionConflictError as error:
        raise version_differs(error, version) from error
    return call.answer(stored(restored), headers=tag_of(restored))


@routes.add(
    "POST",
    "/definitions/plan",
    scope="definitions:read",
    gives=DefinitionsPlan,
    body=DefinitionSetRequest,
    example=SET,
)
async def plan(call: Ask) -> Response:
    """Say what applying a set of definitions would do; nothing is changed."""
    given, documents = await _set(call)
    found = await call.tenant.definitions.plan(
        documents, set_name=given.set_name, prune=given.prune, force=given.force
    )
    return call.answer(found)


@routes.add(
    "POST",
    "/definitions/apply",
    scope="definitions:write",
    gives=DefinitionsPlan,
    body=DefinitionSetRequest,
    example=SET,
)
async def apply(call: Ask) -> Response:
    """Make what is stored equal to a set of definitions."""
    given, documents = await _set(call)
    done = await call.tenant.definitions.apply(
        documents,
        set_name=given.set_name,
        prune=given.prune,
        force=given.force,
        note=given.note,
    )
    return call.answer(done)


async def _set(call: Asking) -> tuple[DefinitionSetRequest, list[JsonObject]]:
    """Return a set without its documents, and the documents, which the engine checks itself."""
    given = await call.json(most=MOST_BATCH_BYTES)
    documents = given.pop("documents", None)
    if not isinstance(documents, list):
        raise FieldsError([Problem("/documents", "must be a list of definitions")])
    objects = [each for each in documents if isinstance(each, dict)]
    if len(objects) < len(documents):
        raise FieldsError([Problem("/documents", "must have objects only")])
    return call.checked(DefinitionSetRequest, {**given, "documents": []}), objects
