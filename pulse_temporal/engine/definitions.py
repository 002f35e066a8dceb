"""The engine's methods for workflow definitions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pulse_temporal.clock import utc_now
from pulse_temporal.model.definitions import (
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.runs import Page
from pulse_temporal.services.definitions.definitions import Definitions


class DefinitionMethods:
    """Create, read, change and delete definitions; works without ``start``."""

    _definitions: Definitions

    async def create_workflow(
        self, definition: WorkflowInput | Mapping[str, object]
    ) -> WorkflowDefinition:
        """Store a workflow definition.

        Handler names are checked against this process and the live workers; while no handler at
        all is known, they are not, and ``warnings`` says so.

        Returns:
            The definition as it is stored. Its ``warnings`` name what its author should look at:
            a signal type that nobody has registered, for example.

        Raises:
            DefinitionError: With every problem found, each with a JSON pointer.
            DefinitionConflictError: The tenant has a definition of the same ``key``.
        """
        return await self._definitions.create(definition)

    async def put_workflow(
        self, definition: WorkflowInput | Mapping[str, object], *, key: str | None = None
    ) -> PutWorkflow:
        """Store a definition under a key: create it, or make the one of that key equal to it.

        For definitions that an application stores at its start: however often it starts, and in
        however many processes at once, there is one. Without a change of the content there is no
        new version. Fields that are left out get their defaults, but for ``is_enabled``: what
        somebody has disabled stays so.

        Args:
            definition: All of it.
            key: What the application calls it; unique per tenant. It may stand in the definition
                instead.

        Returns:
            The definition, and whether it was created, updated or is unchanged.

        Raises:
            DefinitionError: With every problem found, each with a JSON pointer.
        """
        return await self._definitions.put(definition, key=key)

    async def validate_workflow(
        self, definition: WorkflowInput | Mapping[str, object]
    ) -> ValidationReport:
        """Return what ``create_workflow`` would say: problems, which it refuses, and warnings.

        Nothing is stored, and whether the key is free is not looked at.
        """
        return await self._definitions.validate(definition)

    async def update_workflow(
        self,
        definition_id: str,
        change: WorkflowUpdate | Mapping[str, object],
        *,
        tenant_id: str | None = None,
        version: int | None = None,
    ) -> WorkflowDefinition:
        """Change a definition; runs that exist keep the one they started with.

        Changes at the same moment are made one after the other: those of different fields all
        take effect, and of the same field the later one. A change that changes nothing makes no
        new version.

        Args:
            definition_id: Which one.
            change: Only the fields to change; None clears an optional field.
            tenant_id: Narrows to one tenant.
            version: The version that the change was made for; when it is another one by now,
                somebody else was faster and the change is refused.

        Raises:
            DefinitionError: With every problem found.
            DefinitionConflictError: It has another ``version``, or another definition has the
                new ``key``.
            NotFoundError: There is no such definition.
        """
        return await self._definitions.update(
            definition_id, change, tenant_id=tenant_id, version=version
        )

    async def get_workflow(
        self, definition_id: str, *, tenant_id: str | None = None
    ) -> WorkflowDefinition | None:
        """Give a definition, or None."""
        return await self._definitions.get(definition_id, tenant_id=tenant_id)

    async def list_workflows(
        self,
        *,
        tenant_id: str | None = None,
        trigger_type: str | None = None,
        is_enabled: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowDefinition]:
        """Give one page of definitions, newest first.

        Args:
            tenant_id: Narrows to one tenant.
            trigger_type: Narrows to one type of signal.
            is_enabled: Narrows to enabled or to disabled ones.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
        """
        return await self._definitions.list_page(
            tenant_id=tenant_id,
            trigger_type=trigger_type,
            is_enabled=is_enabled,
            limit=limit,
            cursor=cursor,
        )

    async def enable_workflow(self, definition_id: str, *, tenant_id: str | None = None) -> None:
        """Let a definition match signals, and its cron tick from now on.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._definitions.set_enabled(definition_id, tenant_id=tenant_id, is_enabled=True)

    async def disable_workflow(self, definition_id: str, *, tenant_id: str | None = None) -> None:
        """Let a definition match no more signals; its runs go on.

        Its cron rests. The ticks of that time are never caught up.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._definitions.set_enabled(definition_id, tenant_id=tenant_id, is_enabled=False)

    async def delete_workflow(self, definition_id: str, *, tenant_id: str | None = None) -> None:
        """Delete a definition; its runs stay and go on.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._definitions.delete(definition_id, tenant_id=tenant_id)

    async def next_runs(
        self, definition_id: str, n: int = 5, *, tenant_id: str | None = None
    ) -> list[datetime]:
        """Give the next times at which a definition's cron fires, in UTC, soonest first.

        Postgres alone is asked. A local time that the clock skips in spring is not among them.
        One that comes twice in autumn is listed twice, where Temporal may fire only once.

        Args:
            definition_id: Which one.
            n: 1 to 500 times.
            tenant_id: Narrows to one tenant.

        Returns:
            Nothing for a definition that has no cron or is disabled.

        Raises:
            NotFoundError: There is no such definition.
        """
        return await self._definitions.next_runs(
            definition_id, n, tenant_id=tenant_id, after=utc_now()
        )
