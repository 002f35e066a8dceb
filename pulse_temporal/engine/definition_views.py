"""The methods of ``engine.definitions`` that lists and pages stand on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.definition_views import DefinitionActivity


class DefinitionViewMethods(Methods):
    """Postgres alone is asked."""

    @operation
    async def activity(
        self,
        definition_ids: Sequence[str],
        *,
        tenant_id: str | None = None,
        created_after: datetime | None = None,
    ) -> dict[str, DefinitionActivity]:
        """Return how many runs of definitions have completed and failed, and their newest runs.

        Args:
            definition_ids: Of which definitions; at most 100.
            tenant_id: Narrows to one tenant.
            created_after: Earliest time of creation of the runs that are counted, included.

        Returns:
            By the definition's id; ids that are unknown are left out.

        Raises:
            InvalidInputError: There are too many ids.
        """
        return await self._parts.definitions.activity(
            definition_ids, tenant_id=self._scope.narrow(tenant_id), since=created_after
        )
