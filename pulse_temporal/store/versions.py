"""Versions of definitions as rows: what each has become, when, by whom and why."""

from __future__ import annotations

from collections.abc import Mapping

from pulse_temporal.model.acting import Actor, present_actor
from pulse_temporal.model.audit import AuditAction
from pulse_temporal.model.definitions import DefinitionVersion, VersionKind, WorkflowDefinition
from pulse_temporal.model.values import JsonObject
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import audit
from pulse_temporal.store.json_columns import json_object
from pulse_temporal.store.rows import required


async def keep(
    session: Session,
    changed: WorkflowDefinition,
    kind: VersionKind,
    *,
    note: str | None,
    restored: int | None = None,
) -> None:
    """Keep a definition's new version in the transaction that made it, and who has made it.

    Args:
        session: In the transaction of the change.
        changed: The definition.
        kind: What was changed.
        note: Why.
        restored: The version that it was made equal to; None: none.
    """
    actor = present_actor()
    row = await session.row(
        "versions.keep",
        definition_id=changed.id,
        tenant_id=changed.tenant_id,
        kind=kind,
        actor_id=actor.id,
        actor_name=actor.name,
        actor_kind=actor.kind,
        note=note,
    )
    number: int = required(row, "a new version")["version"]
    detail: JsonObject = {"version": number}
    if restored is not None:
        detail["restored"] = restored
    await audit.record(
        session,
        _action(kind, number, restored),
        changed.id,
        tenant_id=changed.tenant_id,
        reason=note,
        detail=detail,
    )


def _action(kind: VersionKind, number: int, restored: int | None) -> AuditAction:
    if kind != "content":
        return OTHER_ACTIONS[kind]
    if restored is not None:
        return "definition.restore"
    return "definition.create" if number == 1 else "definition.update"


OTHER_ACTIONS: Mapping[str, AuditAction] = {
    "enabled": "definition.enable",
    "disabled": "definition.disable",
    "deleted": "definition.delete",
}


async def list_page(
    session: Session,
    definition_id: str,
    *,
    tenant_id: str | None,
    before: int | None,
    limit: int,
) -> list[DefinitionVersion] | None:
    """Read one page of a definition's versions, newest first, and one more where there is one.

    Args:
        session: Where.
        definition_id: Of which definition.
        tenant_id: Narrows to one tenant.
        before: The version that the page ends before; None from the newest.
        limit: Most versions of a page.

    Returns:
        Versions without their content; None when no such definition was ever stored.
    """
    narrowed = {"definition_id": definition_id, "tenant_id": tenant_id}
    found = await session.rows(
        "versions.list_page", **narrowed, before_version=before, row_limit=limit + 1
    )
    if not found and await session.row("versions.is_known", **narrowed) is None:
        return None
    return [_version(row) for row in found]


async def get(
    session: Session, definition_id: str, version: int, *, tenant_id: str | None
) -> DefinitionVersion | None:
    """Read a version with the content that the definition had then."""
    row = await session.row(
        "versions.get_version", definition_id=definition_id, version=version, tenant_id=tenant_id
    )
    if row is None:
        return None
    content = row["content"]
    found = _version(row)
    if content is None:
        return found
    whole = {"tenantId": found.tenant_id, **json_object(content)}
    return found.model_copy(update={"content": whole})


def _version(row: Record) -> DefinitionVersion:
    fields = {name: value for name, value in row.items() if name in _FIELDS}
    if row["actor"] is not None:
        fields["actor"] = Actor.model_construct(
            id=row["actor"],
            name=row["actor_name"] or row["actor"],
            kind=row["actor_kind"] or "user",
        )
    return DefinitionVersion.model_validate(fields)


_FIELDS = DefinitionVersion.model_fields.keys() - {"actor", "content"}
