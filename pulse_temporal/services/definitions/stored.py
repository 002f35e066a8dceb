"""Read definitions as they are stored, and when their crons fire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.definition_views import DefinitionActivity
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.plain import UNSAFE
from pulse_temporal.model.runs import Page
from pulse_temporal.services.definitions.cron import parse_cron
from pulse_temporal.services.definitions.versions import unknown_definition
from pulse_temporal.services.pages import check_limit, page_of, read_cursor
from pulse_temporal.store import definition_views, definitions
from pulse_temporal.store.database import Database

MOST_AT_ONCE = 100
"""Definitions whose activity is read at once."""


class StoredDefinitions:
    """Reads definitions; Postgres alone is asked.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, definition_id: str, *, tenant_id: str | None) -> WorkflowDefinition | None:
        """Return a definition; None when the tenant has none of this id."""
        async with self.database.session() as session:
            return await definitions.get(session, definition_id, tenant_id=tenant_id)

    async def require(self, definition_id: str, *, tenant_id: str | None) -> WorkflowDefinition:
        """Return a definition; raise NotFoundError when there is none."""
        found = await self.get(definition_id, tenant_id=tenant_id)
        if found is None:
            raise unknown_definition(definition_id)
        return found

    async def list_page(
        self,
        *,
        tenant_id: str | None,
        trigger_type: str | None,
        is_enabled: bool | None,
        has_cron: bool | None = None,
        limit: int,
        cursor: str | None,
    ) -> Page[WorkflowDefinition]:
        """Return one page, newest first, of ``limit`` definitions or fewer when they are large."""
        check_limit(limit)
        async with self.database.session() as session:
            found, looked = await definitions.list_page(
                session,
                tenant_id=tenant_id,
                trigger_type=trigger_type,
                is_enabled=is_enabled,
                has_cron=has_cron,
                after=read_cursor(cursor),
                limit=limit,
            )
        return page_of(found, looked=looked)

    async def next_runs(
        self, definition_id: str, number: int, *, tenant_id: str | None, after: datetime
    ) -> list[datetime]:
        """Return the next times at which a definition's cron fires; see ``Engine.next_runs``."""
        check_limit(number)
        found = await self.require(definition_id, tenant_id=tenant_id)
        if found.cron_expression is None or not found.is_enabled:
            return []
        cron = parse_cron(found.cron_expression, found.timezone)
        return list(islice(cron.times_after(after), number))

    async def activity(
        self, definition_ids: Sequence[str], *, tenant_id: str | None, since: datetime | None
    ) -> dict[str, DefinitionActivity]:
        """Read what definitions have done, in one statement; see ``definitions.activity``."""
        if isinstance(definition_ids, str) or len(definition_ids) > MOST_AT_ONCE:
            raise InvalidInputError(
                f"definition_ids must be a list of at most {MOST_AT_ONCE} ids."
            )
        # Postgres holds neither NUL nor halves of characters, so no id has them.
        ids = [each for each in definition_ids if not UNSAFE.search(each)]
        async with self.database.session() as session:
            found = await definition_views.activity(session, ids, tenant_id=tenant_id, since=since)
        return {each.definition_id: each for each in found}
