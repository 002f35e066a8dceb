"""Read what operators see of workers and tenants."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.operator_views import TenantView, WorkerView
from pulse_temporal.model.plain import UNSAFE, cut_repr
from pulse_temporal.model.runs import Page
from pulse_temporal.services.definitions.checks import WORKER_SILENCE
from pulse_temporal.services.pages import check_limit
from pulse_temporal.store import operator_views
from pulse_temporal.store.database import Database

LATELY = timedelta(hours=24)


class OperatorViews:
    """Questions across all tenants, for those who operate them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def list_workers(self) -> list[WorkerView]:
        """Read all processes that are on record."""
        async with self.database.session() as session:
            return await operator_views.list_workers(session, silence=WORKER_SILENCE)

    async def list_tenants(
        self, *, limit: int, cursor: str | None, now: datetime
    ) -> Page[TenantView]:
        """Read one page of tenants, in the order of their ids."""
        check_limit(limit)
        after = _read_cursor(cursor)
        async with self.database.session() as session:
            found = await operator_views.list_tenants(
                session, after=after, since=now - LATELY, limit=limit + 1
            )
        shown = found[:limit]
        end = _write_cursor(shown[-1].id) if len(found) > limit else None
        return Page[TenantView](items=tuple(shown), next_cursor=end)


def _write_cursor(tenant_id: str) -> str:
    return base64.urlsafe_b64encode(tenant_id.encode()).decode()


def _read_cursor(cursor: str | None) -> str | None:
    """Return the tenant after which a page begins.

    Raises:
        InvalidInputError: The text is no cursor of ours.
    """
    if cursor is None:
        return None
    try:
        tenant_id = base64.b64decode(cursor, altchars="-_", validate=True).decode()
    except (binascii.Error, TypeError, ValueError):
        tenant_id = ""
    if not tenant_id or UNSAFE.search(tenant_id):
        raise InvalidInputError(f"{cut_repr(cursor)[:100]} is not a cursor of an earlier page.")
    return tenant_id
