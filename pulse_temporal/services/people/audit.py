"""Read the audit."""

from __future__ import annotations

from pulse_temporal.model.audit import AuditEntry
from pulse_temporal.model.runs import Page
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.store import audit
from pulse_temporal.store.database import Database
from pulse_temporal.store.places import KeysetPosition


class Audit:
    """Reads who has changed what."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def list_page(
        self,
        *,
        tenant_id: str | None,
        subject_id: str | None,
        action: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page[AuditEntry]:
        """Return one page, newest first; see ``Engine.list_audit``."""
        check_limit(limit)
        async with self.database.session() as session:
            found = await audit.list_page(
                session,
                tenant_id=tenant_id,
                subject_id=subject_id,
                action=action,
                after=read_cursor(cursor),
                limit=limit,
            )
        shown = found[:limit]
        more = len(found) > limit
        end = write_cursor(KeysetPosition(shown[-1].created_at, shown[-1].id)) if more else None
        return Page[AuditEntry](items=tuple(shown), next_cursor=end)
