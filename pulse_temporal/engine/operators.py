"""The methods of an engine for those who operate it, across all tenants."""

from __future__ import annotations

from pulse_temporal.clock import utc_now
from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.operator_views import TenantView, WorkerView
from pulse_temporal.model.runs import Page


class Operators(Methods):
    """What there is across all tenants; Postgres alone is asked."""

    @operation
    async def list_workers(self) -> list[WorkerView]:
        """Return the processes that take work, of all task queues, last seen first.

        One that was killed stays in the list, not live, until it is forgotten.
        """
        return await self._parts.operator_views.list_workers()

    @operation
    async def list_tenants(
        self, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TenantView]:
        """Return one page of tenants that have a signal or a definition, in the order of ids.

        Args:
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: ``limit`` or ``cursor`` is wrong.
        """
        return await self._parts.operator_views.list_tenants(
            limit=limit, cursor=cursor, now=utc_now()
        )
