"""What a search box asks of an engine, or of a view of it."""

from __future__ import annotations

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.signal_views import SearchResult


class Searching(Methods):
    """Find things by what a person types; Postgres alone is asked."""

    @operation
    async def search(self, text: str, *, tenant_id: str | None = None) -> list[SearchResult]:
        """Find runs, signals, definitions and steps by what a person types.

        What has exactly this id is the only result. Else: runs, signals and definitions whose
        ids begin so (eight characters at least), the signal with this idempotency key, signals
        about this resource, definitions whose name or a step's name begins so, whatever the case.
        Payloads are not searched.

        Args:
            text: What was typed.
            tenant_id: Narrows to one tenant; without it only ids are looked for.

        Returns:
            At most 20, those of an id first.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.signal_views.search(text, tenant_id=narrowed)
