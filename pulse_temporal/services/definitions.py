"""Create, change, list and delete workflow definitions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import DefinitionError, NotFoundError, StoreError
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput, WorkflowUpdate
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import Page
from pulse_temporal.model.validation import apply_update, handler_problems, parse_definition
from pulse_temporal.services.cron import cron_findings, parse_cron
from pulse_temporal.services.pages import check_limit, page_of, read_cursor
from pulse_temporal.store import definitions, outbox, workers
from pulse_temporal.store.database import Database
from pulse_temporal.store.definitions import Changed
from pulse_temporal.store.sessions import Session, repeats

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

    @repeats
    async def create(self, content: WorkflowInput | Mapping[str, object]) -> WorkflowDefinition:
        """Store a definition; see ``Engine.create_workflow``."""
        parsed = parse_definition(content, limits=self.options.limits, check=cron_findings)
        await self._check_handlers(parsed)
        async with self.database.transaction() as session:
            stored = await definitions.insert(session, new_id("wfd"), parsed)
            if stored.cron_expression is not None:
                await outbox.put_schedule(
                    session,
                    task_queue=self.options.task_queue,
                    tenant_id=stored.tenant_id,
                    definition_id=stored.id,
                )
        return stored

    @repeats
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
            parsed = apply_update(current, change, limits=self.options.limits, check=cron_findings)
            await self._check_handlers(parsed)
            has_schedule = bool(current.cron_expression or parsed.cron_expression)
            async with self.database.transaction() as session:
                updated = await definitions.update(
                    session, definition_id, parsed, version=current.version
                )
                if updated is not None and has_schedule:
                    await outbox.put_schedule(
                        session,
                        task_queue=self.options.task_queue,
                        tenant_id=updated.tenant_id,
                        definition_id=updated.id,
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

    @repeats
    async def set_enabled(
        self, definition_id: str, *, tenant_id: str | None, is_enabled: bool
    ) -> None:
        """Let a definition match signals and tick, or not."""
        async with self.database.transaction() as session:
            changed = await definitions.set_enabled(
                session, definition_id, tenant_id=tenant_id, is_enabled=is_enabled
            )
            await self._follow_up(session, definition_id, changed)

    @repeats
    async def delete(self, definition_id: str, *, tenant_id: str | None) -> None:
        """Delete a definition; its runs stay and go on."""
        async with self.database.transaction() as session:
            changed = await definitions.delete(session, definition_id, tenant_id=tenant_id)
            await self._follow_up(session, definition_id, changed)

    async def next_runs(
        self, definition_id: str, number: int, *, tenant_id: str | None, after: datetime
    ) -> list[datetime]:
        """Give the next times at which a definition's cron fires; see ``Engine.next_runs``."""
        check_limit(number)
        found = await self.require(definition_id, tenant_id=tenant_id)
        if found.cron_expression is None or not found.is_enabled:
            return []
        cron = parse_cron(found.cron_expression, found.timezone)
        return list(islice(cron.times_after(after), number))

    async def _follow_up(
        self, session: Session, definition_id: str, changed: Changed | None
    ) -> None:
        """Ask for the schedule to follow a change, in the change's own transaction.

        Raises:
            NotFoundError: There was nothing to change.
        """
        if changed is None:
            raise _unknown(definition_id)
        if changed.has_cron:
            await outbox.put_schedule(
                session,
                task_queue=self.options.task_queue,
                tenant_id=changed.tenant_id,
                definition_id=definition_id,
            )

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
