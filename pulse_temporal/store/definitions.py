"""Workflow definitions as rows."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import to_json

from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput
from pulse_temporal.model.paths import parent_of, path_numbers
from pulse_temporal.model.steps import HandlerStep, WorkflowStep, walk
from pulse_temporal.model.values import JsonObject
from pulse_temporal.store import outbox, rows
from pulse_temporal.store.places import Place
from pulse_temporal.store.rows import required
from pulse_temporal.store.sessions import Session


async def insert(
    session: Session, definition_id: str, content: WorkflowInput
) -> WorkflowDefinition:
    """Store a new definition."""
    row = await session.row(
        "definitions.insert_definition", definition_id, content.tenant_id, *_columns(content)
    )
    return rows.definition(required(row, "a new definition"))


async def update(
    session: Session, definition_id: str, content: WorkflowInput, *, version: int
) -> WorkflowDefinition | None:
    """Replace a definition's content; None when it has changed since ``version`` was read."""
    row = await session.row(
        "definitions.update_definition", definition_id, version, *_columns(content)
    )
    return rows.definition(row) if row else None


async def get(
    session: Session, definition_id: str, *, tenant_id: str | None
) -> WorkflowDefinition | None:
    """Read a definition; with a tenant, only that tenant's."""
    row = await session.row("definitions.get_definition", definition_id, tenant_id)
    return rows.definition(row) if row else None


async def list_page(
    session: Session,
    *,
    tenant_id: str | None,
    trigger_type: str | None,
    is_enabled: bool | None,
    after: Place,
    limit: int,
) -> list[WorkflowDefinition]:
    """Read one page of definitions, newest first; a filter of None lets all through."""
    wanted = (after.at, after.id, limit, trigger_type, is_enabled)
    if tenant_id is None:
        found = await session.rows("definitions.list_all", *wanted)
    else:
        found = await session.rows("definitions.list_tenant", *wanted, tenant_id)
    return [rows.definition(row) for row in found]


@dataclass(frozen=True, slots=True)
class Changed:
    """A definition that was changed without being read."""

    tenant_id: str
    has_cron: bool


async def set_enabled(
    session: Session, definition_id: str, *, tenant_id: str | None, is_enabled: bool
) -> Changed | None:
    """Enable or disable a definition; None when there is none."""
    row = await session.row("definitions.set_enabled", definition_id, tenant_id, is_enabled)
    return Changed(row["tenant_id"], row["cron_expression"] is not None) if row else None


async def delete(session: Session, definition_id: str, *, tenant_id: str | None) -> Changed | None:
    """Hide a definition for good; None when there is none."""
    row = await session.row("definitions.delete_definition", definition_id, tenant_id)
    return Changed(row["tenant_id"], row["cron_expression"] is not None) if row else None


async def adopt(session: Session, *, task_queue: str) -> list[str]:
    """Plan the definitions that the TypeScript Pulse stored; give the ids that cannot be read."""
    unreadable: list[str] = []
    for row in await session.rows("definitions.without_plan"):
        try:
            found = rows.definition(row)
        except ValidationError:
            unreadable.append(row["id"])
            continue
        await session.run("definitions.set_plan", found.id, *_plan_columns(found))
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


def _columns(content: WorkflowInput) -> tuple[object, ...]:
    steps, plan = _plan_columns(content)
    return (
        content.name,
        content.description,
        content.trigger_type,
        content.environment_filter,
        content.resource_type_filter,
        steps,
        to_json(content.config).decode(),
        content.is_enabled,
        content.cron_expression,
        content.timezone,
        plan,
    )


def _plan_columns(content: WorkflowInput) -> tuple[str, str]:
    steps = to_json([step.model_dump() for step in content.steps]).decode()
    return steps, to_json(step_plan(content.steps)).decode()
