"""The engine's method that says what handlers and signal types there are."""

from __future__ import annotations

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.catalogue import CatalogEntry


class Cataloguing(Methods):
    """What definitions can be made of; Postgres alone is asked."""

    @operation
    async def catalog(self, *, tenant_id: str | None = None) -> list[CatalogEntry]:
        """Return the handlers and signal types that live workers of the task queue know.

        What this process has registered is among them, with ``workers`` 0 where no live worker
        knows it.

        Args:
            tenant_id: For whom; handlers with the audience ``operators`` are left out then, and
                in the view of a tenant.

        Returns:
            Actions, conditions and signal types, each by name.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.catalogue.list_entries(tenant_id=narrowed)
