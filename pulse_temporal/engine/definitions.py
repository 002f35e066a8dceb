"""``engine.definitions``: create, read, change and delete definitions."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime

from pulse_temporal.clock import utc_now
from pulse_temporal.engine.definition_sets import DefinitionSetMethods
from pulse_temporal.engine.definition_views import DefinitionViewMethods
from pulse_temporal.engine.operations import Awaited, Blocking, iteration, operation
from pulse_temporal.model.definitions import (
    DefinitionVersion,
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.runs import Page
from pulse_temporal.services.pages import every_item


class DefinitionMethods(DefinitionSetMethods, DefinitionViewMethods):
    """Postgres alone is asked, so these work without ``start`` and Temporal."""

    @operation
    async def create(
        self, definition: WorkflowInput | Mapping[str, object], *, note: str | None = None
    ) -> WorkflowDefinition:
        """Store a workflow definition.

        Handler names are checked against this process and the live workers; while no handler at
        all is known, they are not, and ``warnings`` says so.

        Args:
            definition: All of it.
            note: Why, for its versions; cut at 1 000 bytes.

        Returns:
            The definition as it is stored. Its ``warnings`` name what its author should look at:
            a signal type that nobody has registered, for example.

        Raises:
            DefinitionError: With every problem found, each with a JSON pointer.
            DefinitionConflictError: The tenant has a definition of the same ``key``.
        """
        return await self._parts.definitions.create(self._scope.own(definition), note=note)

    @operation
    async def put(
        self,
        definition: WorkflowInput | Mapping[str, object],
        *,
        key: str | None = None,
        note: str | None = None,
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
            note: Why, for its versions; cut at 1 000 bytes.

        Returns:
            The definition, and whether it was created, updated or is unchanged.

        Raises:
            DefinitionError: With every problem found, each with a JSON pointer.
        """
        owned = self._scope.own(definition)
        return await self._parts.definitions.put(owned, key=key, note=note)

    @operation
    async def validate(self, definition: WorkflowInput | Mapping[str, object]) -> ValidationReport:
        """Return what ``create`` would say: problems, which it refuses, and warnings.

        Nothing is stored, and whether the key is free is not looked at.
        """
        return await self._parts.definitions.validate(self._scope.own(definition))

    @operation
    async def update(
        self,
        definition_id: str,
        change: WorkflowUpdate | Mapping[str, object],
        *,
        tenant_id: str | None = None,
        version: int | None = None,
        note: str | None = None,
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
            note: Why, for its versions; cut at 1 000 bytes.

        Raises:
            DefinitionError: With every problem found.
            DefinitionConflictError: It has another ``version``, or another definition has the
                new ``key``.
            NotFoundError: There is no such definition.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.definitions.update(
            definition_id, change, tenant_id=narrowed, version=version, note=note
        )

    @operation
    async def get(
        self, definition_id: str, *, tenant_id: str | None = None
    ) -> WorkflowDefinition | None:
        """Return a definition, or None.

        Args:
            definition_id: Which one.
            tenant_id: Narrows to one tenant.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.definitions.get(definition_id, tenant_id=narrowed)

    @operation
    async def list(
        self,
        *,
        tenant_id: str | None = None,
        trigger_type: str | None = None,
        is_enabled: bool | None = None,
        has_cron: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowDefinition]:
        """Return one page of definitions, newest first.

        Args:
            tenant_id: Narrows to one tenant.
            trigger_type: Narrows to one type of signal.
            is_enabled: Narrows to enabled or to disabled ones.
            has_cron: Narrows to those that the clock starts, or to those that it does not.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
        """
        return await self._parts.definitions.list_page(
            tenant_id=self._scope.narrow(tenant_id),
            trigger_type=trigger_type,
            is_enabled=is_enabled,
            has_cron=has_cron,
            limit=limit,
            cursor=cursor,
        )

    @iteration
    async def iterate(
        self,
        *,
        tenant_id: str | None = None,
        trigger_type: str | None = None,
        is_enabled: bool | None = None,
        has_cron: bool | None = None,
        page_size: int = 100,
    ) -> AsyncGenerator[WorkflowDefinition]:
        """Yield all definitions of a list, newest first, and read them page by page.

        Args:
            tenant_id: As of ``list``.
            trigger_type: As of ``list``.
            is_enabled: As of ``list``.
            has_cron: As of ``list``.
            page_size: Definitions that are read at once, 1 to 500.
        """
        narrowed = self._scope.narrow(tenant_id)
        pages = every_item(
            lambda cursor: self._parts.definitions.list_page(
                tenant_id=narrowed,
                trigger_type=trigger_type,
                is_enabled=is_enabled,
                has_cron=has_cron,
                limit=page_size,
                cursor=cursor,
            )
        )
        async for definition in pages:
            yield definition

    @operation
    async def enable(
        self, definition_id: str, *, tenant_id: str | None = None, note: str | None = None
    ) -> None:
        """Let a definition match signals, and its cron tick from now on.

        Args:
            definition_id: Which one.
            tenant_id: Narrows to one tenant.
            note: Why, for its versions; cut at 1 000 bytes.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._parts.definitions.set_enabled(
            definition_id, tenant_id=self._scope.narrow(tenant_id), is_enabled=True, note=note
        )

    @operation
    async def disable(
        self, definition_id: str, *, tenant_id: str | None = None, note: str | None = None
    ) -> None:
        """Let a definition match no more signals; its runs go on.

        Its cron rests. The ticks of that time are never caught up.

        Args:
            definition_id: Which one.
            tenant_id: Narrows to one tenant.
            note: Why, for its versions; cut at 1 000 bytes.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._parts.definitions.set_enabled(
            definition_id, tenant_id=self._scope.narrow(tenant_id), is_enabled=False, note=note
        )

    @operation
    async def delete(
        self, definition_id: str, *, tenant_id: str | None = None, note: str | None = None
    ) -> None:
        """Delete a definition; its runs and versions stay, and its runs go on.

        Args:
            definition_id: Which one.
            tenant_id: Narrows to one tenant.
            note: Why, for its versions; cut at 1 000 bytes.

        Raises:
            NotFoundError: There is no such definition.
        """
        narrowed = self._scope.narrow(tenant_id)
        await self._parts.definitions.delete(definition_id, tenant_id=narrowed, note=note)

    @operation
    async def list_versions(
        self,
        definition_id: str,
        *,
        tenant_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[DefinitionVersion]:
        """Return one page of a definition's versions, newest first: who made them, when and why.

        A deleted definition has its versions still; the last one says who deleted it.

        Args:
            definition_id: Of which definition.
            tenant_id: Narrows to one tenant.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Returns:
            Versions without their content.

        Raises:
            NotFoundError: There was never such a definition.
        """
        return await self._parts.versions.list_page(
            definition_id, tenant_id=self._scope.narrow(tenant_id), limit=limit, cursor=cursor
        )

    @operation
    async def get_version(
        self, definition_id: str, number: int, *, tenant_id: str | None = None
    ) -> DefinitionVersion | None:
        """Return a version with all that the definition was then, or None.

        Args:
            definition_id: Of which definition; it may be deleted.
            number: Of the version, 1 for the first one.
            tenant_id: Narrows to one tenant.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.versions.get(definition_id, number, tenant_id=narrowed)

    @operation
    async def restore_version(
        self,
        definition_id: str,
        number: int,
        *,
        tenant_id: str | None = None,
        version: int | None = None,
        note: str | None = None,
    ) -> WorkflowDefinition:
        """Make a new version with the content of an old one.

        The key stays, and so does whether the definition is enabled: what somebody has disabled
        does not start by itself. Everything else becomes as it was, and is checked as a new
        definition is: a handler that is gone by now, for example, is a problem. Where nothing
        differs, there is no new version.

        Args:
            definition_id: Which one.
            number: Of the version to restore.
            tenant_id: Narrows to one tenant.
            version: As of ``update``: the version that this was decided for.
            note: Why, for its versions; cut at 1 000 bytes.

        Raises:
            DefinitionError: With every problem found, each with a JSON pointer.
            DefinitionConflictError: It has another ``version``.
            NotFoundError: There is no such definition, or it has no such version.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.definitions.restore(
            definition_id, number, tenant_id=narrowed, version=version, note=note
        )

    @operation
    async def next_times(
        self, definition_id: str, n: int = 5, *, tenant_id: str | None = None
    ) -> builtins.list[datetime]:
        """Return the next times at which a definition's cron fires, in UTC, soonest first.

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
        return await self._parts.definitions.next_runs(
            definition_id, n, tenant_id=self._scope.narrow(tenant_id), after=utc_now()
        )


class EngineDefinitions(DefinitionMethods, Awaited):
    """``engine.definitions``: create, read, change and delete definitions."""


class BlockingDefinitions(DefinitionMethods, Blocking):
    """``engine.blocking.definitions``: as ``engine.definitions``, for code that is not async."""
