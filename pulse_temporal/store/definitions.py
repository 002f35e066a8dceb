"""Workflow definitions as rows."""

from __future__ import annotations

import asyncpg
from pydantic import ValidationError
from pydantic_core import to_json

from pulse_temporal.errors import DefinitionConflictError
from pulse_temporal.model.definitions import VersionKind, WorkflowDefinition, WorkflowInput
from pulse_temporal.model.paths import parent_of, path_numbers
from pulse_temporal.model.steps import HandlerStep, WorkflowStep, walk
from pulse_temporal.model.values import JsonObject
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import outbox, rows, versions
from pulse_temporal.store.places import PAGE_BYTES, KeysetPosition


async def insert(
    session: Session, definition_id: str, content: WorkflowInput, *, note: str | None
) -> WorkflowDefinition | None:
    """Store a new definition, in a transaction; None when the tenant has one of its key."""
    row = await session.row(
        "definitions.insert_definition",
        definition_id=definition_id,
        tenant_id=content.tenant_id,
        **_columns(content),
    )
    if row is None:
        return None
    stored = rows.definition(row)
    await versions.keep(session, stored, "content", note=note)
    return stored


async def update(
    session: Session,
    definition_id: str,
    content: WorkflowInput,
    *,
    note: str | None,
    restored: int | None = None,
) -> WorkflowDefinition | None:
    """Replace the content of a locked definition; None when it is the same already.

    Raises:
        DefinitionConflictError: The tenant has another definition of its key.
    """
    try:
        row = await session.row(
            "definitions.update_definition",
            definition_id=definition_id,
            tenant_id=content.tenant_id,
            **_columns(content),
        )
    except asyncpg.UniqueViolationError:
        raise DefinitionConflictError(
            f"Definition {definition_id} cannot have the key {content.key!r}: another definition "
            f"of tenant {content.tenant_id!r} has it."
        ) from None
    if row is None:
        return None
    stored = rows.definition(row)
    await versions.keep(session, stored, "content", note=note, restored=restored)
    return stored


async def lock(
    session: Session, definition_id: str, *, tenant_id: str | None
) -> WorkflowDefinition | None:
    """Read a definition and keep others from changing it until the transaction ends."""
    row = await session.row(
        "definitions.lock_definition", definition_id=definition_id, tenant_id=tenant_id
    )
    return rows.definition(row) if row else None


async def lock_by_key(session: Session, *, tenant_id: str, key: str) -> WorkflowDefinition | None:
    """Read and lock the definition that a tenant has under a key."""
    row = await session.row("definitions.lock_by_key", tenant_id=tenant_id, key=key)
    return rows.definition(row) if row else None


async def get(
    session: Session, definition_id: str, *, tenant_id: str | None
) -> WorkflowDefinition | None:
    """Read a definition; with a tenant, only that tenant's."""
    row = await session.row(
        "definitions.get_definition", definition_id=definition_id, tenant_id=tenant_id
    )
    return rows.definition(row) if row else None


async def list_page(  # noqa: PLR0913 - filters of a list, each by name
    session: Session,
    *,
    tenant_id: str | None,
    trigger_type: str | None,
    is_enabled: bool | None,
    has_cron: bool | None = None,
    after: KeysetPosition,
    limit: int,
) -> tuple[list[WorkflowDefinition], int]:
    """Read one page of definitions, newest first; a filter of None lets all through.

    Returns:
        As many as have room in ``PAGE_BYTES``, and how many there were to choose from: at most
        one more than ``limit``, so that a next page is seen.
    """
    wanted: dict[str, object] = {
        "before_at": after.at,
        "before_id": after.id,
        "row_limit": limit + 1,
        "trigger_type": trigger_type,
        "is_enabled": is_enabled,
        "has_cron": has_cron,
        "room": PAGE_BYTES,
    }
    if tenant_id is None:
        found = await session.rows("definitions.list_all", **wanted)
    else:
        found = await session.rows("definitions.list_tenant", **wanted, tenant_id=tenant_id)
    looked = found[0]["looked"] if found else 0
    return [rows.definition(row) for row in found[:limit]], looked


async def set_enabled(
    session: Session, locked: WorkflowDefinition, *, is_enabled: bool, note: str | None
) -> None:
    """Enable or disable a locked definition, which is not yet so."""
    await session.run(
        "definitions.set_enabled",
        definition_id=locked.id,
        tenant_id=locked.tenant_id,
        is_enabled=is_enabled,
    )
    kind: VersionKind = "enabled" if is_enabled else "disabled"
    await versions.keep(session, locked, kind, note=note)


async def delete(session: Session, locked: WorkflowDefinition, *, note: str | None) -> None:
    """Hide a locked definition for good."""
    await session.run(
        "definitions.delete_definition", definition_id=locked.id, tenant_id=locked.tenant_id
    )
    await versions.keep(session, locked, "deleted", note=note)


async def adopt(session: Session, *, task_queue: str) -> list[str]:
    """Plan the definitions that the TypeScript Pulse stored; give the ids that cannot be read."""
    unreadable: list[str] = []
    for row in await session.rows("definitions.without_plan"):
        try:
            found = rows.adoptable_definition(row)
        except ValidationError:
            unreadable.append(row["id"])
            continue
        await session.run("definitions.set_plan", definition_id=found.id, **_plan_columns(found))
        if found.cron_expression is not None:
            await outbox.put_schedule(
                session, tenant_id=found.tenant_id, definition_id=found.id, task_queue=task_queue
            )
    return unreadable


def step_plan(steps: list[WorkflowStep]) -> list[JsonObject]:
    """Flatten steps to the rows that emit copies into every run."""
    plan: list[JsonObject] = []
    for path, step in walk(steps):
        parent, branch = parent_of(path)
        numbers = path_numbers(path)
        policy = step.retry_policy if isinstance(step, HandlerStep) else None
        plan.append(
            {
                "path": path,
                "numbers": [*numbers],
                "index": numbers[-1],
                "type": step.type,
                "name": step.name,
                "handler": step.handler if isinstance(step, HandlerStep) else None,
                "max_attempts": policy.max_attempts if policy else 1,
                "branch": branch,
                "parent": parent,
            }
        )
    return plan


def _columns(content: WorkflowInput) -> dict[str, object]:
    return {
        "name": content.name,
        "description": content.description,
        "trigger_type": content.trigger_type,
        "environment_filter": content.environment_filter,
        "resource_type_filter": content.resource_type_filter,
        "config": to_json(content.config).decode(),
        "is_enabled": content.is_enabled,
        "cron_expression": content.cron_expression,
        "timezone": content.timezone,
        "key": content.key,
        **_plan_columns(content),
    }


def _plan_columns(content: WorkflowInput) -> dict[str, object]:
    # pydantic 2.12.0 warns about the absent fields of steps in branches, and writes them well.
    steps = to_json([step.model_dump(warnings=False) for step in content.steps]).decode()
    return {"steps": steps, "step_plan": to_json(step_plan(content.steps)).decode()}
