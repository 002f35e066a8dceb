"""Definitions: create, read, change, switch and delete them."""

from __future__ import annotations

from starlette.responses import Response

from pulse_temporal.errors import DefinitionConflictError
from pulse_temporal.model.addresses import segment
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.web.api.asking import Ask, Asking, found_or_404
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.problems import DIFFERS, RefusedError
from pulse_temporal.web.api.shapes import (
    Definition,
    DefinitionChange,
    DefinitionPage,
    DefinitionPageQuery,
    NextQuery,
    Note,
    Report,
    StoredByKey,
    StoredDefinition,
    TimeList,
)

CREATED, NO_CONTENT, NOT_MODIFIED = 201, 204, 304
NOTE: dict[str, object] = {"note": "Too many alarms"}

EXAMPLE: dict[str, object] = {
    "name": "Ship paid orders",
    "triggerType": "order.paid",
    "steps": [
        {"type": "action", "name": "charge", "retryPolicy": {"maxAttempts": 3, "backoffMs": 500}},
        {"type": "action", "name": "ship"},
    ],
}

routes = Routes("definitions")


@routes.add(
    "GET",
    "/definitions",
    scope="definitions:read",
    gives=DefinitionPage,
    query=DefinitionPageQuery,
)
async def list_(call: Ask) -> Response:
    """Return one page of definitions, newest first."""
    wanted = call.query(DefinitionPageQuery)
    page = await call.engine.definitions.list(
        trigger_type=wanted.trigger_type,
        is_enabled=wanted.is_enabled,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return call.page(page)


@routes.add(
    "POST",
    "/definitions",
    scope="definitions:write",
    gives=StoredDefinition,
    body=Definition,
    status=CREATED,
    example=EXAMPLE,
)
async def create(call: Ask) -> Response:
    """Store a definition; the header `Pulse-Note` says why."""
    made = await call.tenant.definitions.create(await call.json(), note=note_of(call))
    place = {"location": f"{call.request.url.path}/{segment(made.id)}"}
    return call.answer(stored(made), status=CREATED, headers={**place, **tag_of(made)})


@routes.add(
    "PUT",
    "/definitions/by-key/{key}",
    scope="definitions:write",
    gives=StoredByKey,
    body=Definition,
    also=(CREATED,),
    example=EXAMPLE,
)
async def put(call: Ask, key: str) -> Response:
    """Create the definition of a key, or make it equal to what is sent."""
    found = await call.tenant.definitions.put(await call.json(), key=key, note=note_of(call))
    answer = StoredByKey(definition=stored(found.definition), outcome=found.outcome)
    status = CREATED if found.outcome == "created" else 200
    return call.answer(answer, status=status, headers=tag_of(found.definition))


@routes.add(
    "POST",
    "/definitions/validate",
    scope="definitions:read",
    gives=Report,
    body=Definition,
    example=EXAMPLE,
)
async def validate(call: Ask) -> Response:
    """Say what storing a definition would say; nothing is stored."""
    found = await call.tenant.definitions.validate(await call.json())
    report = Report(is_valid=found.is_valid, problems=found.problems, warnings=found.warnings)
    return call.answer(report)


@routes.add(
    "GET",
    "/definitions/{definition_id}",
    scope="definitions:read",
    gives=WorkflowDefinition,
    also=(NOT_MODIFIED,),
)
async def get(call: Ask, definition_id: str) -> Response:
    """Return a definition; its `ETag` is its version."""
    found = found_or_404(await call.engine.definitions.get(definition_id))
    is_known = call.request.headers.get("if-none-match") == tag_of(found)["etag"]
    if is_known and found.schedule_error is None:  # which comes without a new version
        return Response(status_code=NOT_MODIFIED, headers=tag_of(found))
    return call.answer(found, headers=tag_of(found))


@routes.add(
    "PATCH",
    "/definitions/{definition_id}",
    scope="definitions:write",
    gives=StoredDefinition,
    body=DefinitionChange,
    example={"name": "Ship what was paid"},
)
async def update(call: Ask, definition_id: str) -> Response:
    """Change fields of a definition; with `If-Match`, only of the version that it names."""
    version = wanted_version(call)
    change = await call.json()
    try:
        changed = await call.tenant.definitions.update(
            definition_id, change, version=version, note=note_of(call)
        )
    except DefinitionConflictError as error:
        raise version_differs(error, version) from error
    return call.answer(stored(changed), headers=tag_of(changed))


@routes.add(
    "DELETE",
    "/definitions/{definition_id}",
    scope="definitions:write",
    gives=None,
    status=NO_CONTENT,
)
async def delete(call: Ask, definition_id: str) -> Response:
    """Delete a definition; its runs and versions stay, and its runs go on."""
    await call.tenant.definitions.delete(definition_id, note=note_of(call))
    return Response(status_code=NO_CONTENT)


@routes.add(
    "POST",
    "/definitions/{definition_id}/enable",
    scope="definitions:write",
    gives=WorkflowDefinition,
    body=Note,
    example=NOTE,
)
async def enable(call: Ask, definition_id: str) -> Response:
    """Let a definition match signals, and its cron tick from now on."""
    note = (await call.body(Note)).note or note_of(call)
    await call.tenant.definitions.enable(definition_id, note=note)
    return await _now(call, definition_id)


@routes.add(
    "POST",
    "/definitions/{definition_id}/disable",
    scope="definitions:write",
    gives=WorkflowDefinition,
    body=Note,
    example=NOTE,
)
async def disable(call: Ask, definition_id: str) -> Response:
    """Let a definition match no more signals; its runs go on."""
    note = (await call.body(Note)).note or note_of(call)
    await call.tenant.definitions.disable(definition_id, note=note)
    return await _now(call, definition_id)


@routes.add(
    "GET",
    "/definitions/{definition_id}/next-runs",
    scope="definitions:read",
    gives=TimeList,
    query=NextQuery,
)
async def next_runs(call: Ask, definition_id: str) -> Response:
    """Return the next times at which a definition's cron fires."""
    n = call.query(NextQuery).n
    found = await call.engine.definitions.next_times(definition_id, n)
    return call.answer(TimeList(items=tuple(found)))


async def _now(call: Asking, definition_id: str) -> Response:
    found = found_or_404(await call.tenant.definitions.get(definition_id))
    return call.answer(found, headers=tag_of(found))


def stored(definition: WorkflowDefinition) -> StoredDefinition:
    """Return a definition with the warnings of the call that has stored it."""
    fields = {name: getattr(definition, name) for name in type(definition).model_fields}
    return StoredDefinition.model_construct(**fields)


def tag_of(definition: WorkflowDefinition) -> dict[str, str]:
    """Return the header with the version of a definition."""
    return {"etag": f'"{definition.version}"'}


def note_of(call: Asking) -> str | None:
    """Return why something is done, as the header says it; UTF-8."""
    note = call.request.headers.get("pulse-note")
    return note.encode("latin-1").decode("utf-8", "replace") if note else None


def wanted_version(call: Asking) -> int | None:
    """Return the version that a change was made for; None for whatever it is.

    Raises:
        RefusedError: ``If-Match`` names none that there can be.
    """
    wanted = call.request.headers.get("if-match", "*").strip()
    if wanted == "*":
        return None
    version = wanted.strip('"')
    if not (version.isascii() and version.isdigit() and len(version) < 10):  # noqa: PLR2004
        raise RefusedError(DIFFERS, "version_differs", "If-Match is no ETag of this definition.")
    return int(version)


def version_differs(
    error: DefinitionConflictError, version: int | None
) -> RefusedError | DefinitionConflictError:
    """Return what a conflict is told as: with ``If-Match``, another version is a 412."""
    if version is None or error.current_version in {None, version}:
        return error
    tag = {"etag": f'"{error.current_version}"'}
    return RefusedError(DIFFERS, "version_differs", str(error), headers=tag)
