"""Create, change, list and delete workflow definitions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import DefinitionError, NotFoundError, StoreError
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput, WorkflowUpdate
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import Page
from pulse_temporal.model.validation import apply_update, handler_problems, parse_definition
from pulse_temporal.services.pages import check_limit, page_of, read_cursor
from pulse_temporal.store import definitions, workers
from pulse_temporal.store.database import Database

log = logging.getLogger(__name__)

WORKER_SILENCE = timedelta(minutes=1)
"""A process that has been silent for so long counts as gone."""

UPDATE_ROUNDS = 3


class Definitions:
    """The tenants' workflows as data."""

    def __init__(self, database: Database, registry: Registry, options: EngineOptions) -> None:
        self.database = database
        self.registry = registry
        self.options = options

    async def create(self, content: WorkflowInput | Mapping[str, object]) -> WorkflowDefinition:
        """Store a definition; see ``Engine.create_workflow``."""
        parsed = parse_definition(content, limits=self.options.limits)
        await self._check_handlers(parsed)
        async with self.database.session() as session:
            return await definitions.insert(session, new_id("wfd"), parsed)

    async def update(
        self,
        definition_id: str,
        change: WorkflowUpdate | Mapping[str, object],
        *,
        tenant_id: str | None,
    ) -> WorkflowDefinition:
        """Change a definition; concurrent changes are applied one after the other."""
        for _ in range(UPDATE_ROUNDS):
            current = await self.require(definition_id, tenant_id=tenant_id)
            parsed = apply_update(current, change, limits=self.options.limits)
            await self._check_handlers(parsed)
            async with self.database.session() as session:
                updated = await definitions.update(
                    session, definition_id, parsed, version=current.version
                )
            if updated is not None:
                return updated
        raise StoreError(f"Definition {definition_id} is being changed by others; try again.")

    async def get(self, definition_id: str, *, tenant_id: str | None) -> WorkflowDefinition | None:
        """Read a definition."""
        async with self.database.session() as session:
            return await definitions.get(session, definition_id, tenant_id=tenant_id)

    async def require(self, definition_id: str, *, tenant_id: str | None) -> WorkflowDefinition:
        """Read a definition that must exist."""
        found = await self.get(definition_id, tenant_id=tenant_id)
        if found is None:
            raise _unknown(definition_id)
        return found

    async def list_page(
        self,
        *,
        tenant_id: str | None,
        trigger_type: str | None,
        is_enabled: bool | None,
        limit: int,
        cursor: str | None,
    ) -> Page[WorkflowDefinition]:
        """Read one page, newest first."""
        check_limit(limit)
        async with self.database.session() as session:
            found = await definitions.list_page(
                session,
                tenant_id=tenant_id,
                trigger_type=trigger_type,
                is_enabled=is_enabled,
                after=read_cursor(cursor),
                limit=limit + 1,
            )
        return page_of(found, limit=limit)

    async def set_enabled(
        self, definition_id: str, *, tenant_id: str | None, is_enabled: bool
    ) -> None:
        """Let a definition match signals, or not."""
        async with self.database.session() as session:
            done = await definitions.set_enabled(
                session, definition_id, tenant_id=tenant_id, is_enabled=is_enabled
            )
        if not done:
            raise _unknown(definition_id)

    async def delete(self, definition_id: str, *, tenant_id: str | None) -> None:
        """Delete a definition; its runs stay and go on."""
        async with self.database.session() as session:
            done = await definitions.delete(session, definition_id, tenant_id=tenant_id)
        if not done:
            raise _unknown(definition_id)

    async def _check_handlers(self, content: WorkflowInput) -> None:
        """Refuse handler names that neither this process nor a live worker knows."""
        async with self.database.session() as session:
            known = await workers.known_handlers(
                session, task_queue=self.options.task_queue, silence=WORKER_SILENCE
            )
        actions = known.actions | self.registry.actions.keys()
        conditions = known.conditions | self.registry.conditions.keys()
        problems = handler_problems(content, actions=actions, conditions=conditions)
        if not problems:
            return
        if not actions and not conditions:
            log.warning("no handlers are known yet; names are not checked")
            return
        raise DefinitionError(problems)


def _unknown(definition_id: str) -> NotFoundError:
    return NotFoundError(f"There is no workflow definition {definition_id}.")
