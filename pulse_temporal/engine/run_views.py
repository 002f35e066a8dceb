"""The methods of ``engine.runs`` that lists and pages stand on."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Unpack

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.runs import Page
from pulse_temporal.model.view_filters import RunSummaryFilter, RunSummaryFilterFields
from pulse_temporal.model.views import FailureGroup, RunCounts, RunSummary, RunView, StepView


class RunViewMethods(Methods):
    """None of these reads a context, the steps of a definition or, but for ``step``, a result."""

    @operation
    async def list_summaries(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **wanted: Unpack[RunSummaryFilterFields],
    ) -> Page[RunSummary]:
        """Return one page of runs as a list shows them, newest first.

        Go on until ``next_cursor`` is None, not until a page is short: with ``signal_type`` a page
        looks at 10 000 runs and ends then, even empty. A run that changes its status may leave
        the list or join it; no other one is passed over by it.

        Args:
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
            wanted: Fields of ``RunSummaryFilter``, such as ``attention="retrying"``; each narrows
                the list. Without any: all runs of all tenants.

        Raises:
            InvalidInputError: A field is unknown or wrong, or ``signal_type`` comes without a
                ``tenant_id``.
        """
        return await self._parts.run_views.list_summaries(
            self._summary_filter(**wanted), limit=limit, cursor=cursor
        )

    @operation
    async def count(self, **wanted: Unpack[RunSummaryFilterFields]) -> RunCounts:
        """Count the runs of a list by status and by attention, each up to 10 000.

        Args:
            wanted: As of ``list_summaries``; ``status`` and ``attention`` do not narrow the
                counts. With ``signal_type`` the newest 10 000 runs are counted.

        Raises:
            InvalidInputError: As of ``list_summaries``.
        """
        return await self._parts.run_views.count(self._summary_filter(**wanted))

    @operation
    async def view(self, run_id: str, *, tenant_id: str | None = None) -> RunView | None:
        """Return a run with its steps and what to know about it, or None.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.run_views.view(run_id, tenant_id=narrowed)

    @operation
    async def step(
        self,
        run_id: str,
        path: str,
        *,
        claim: int | None = None,
        tenant_id: str | None = None,
    ) -> StepView:
        """Return one step of a run with its result, its config, its attempts and its log.

        Args:
            run_id: Which run.
            path: Which step, for example ``2/b0/1``.
            claim: The attempt whose log is shown, by its ``claim``; None for the newest.
            tenant_id: Narrows to one tenant.

        Raises:
            NotFoundError: There is no such run, step or attempt.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.run_views.step(run_id, path, claim=claim, tenant_id=narrowed)

    @operation
    async def failures(
        self,
        *,
        tenant_id: str | None = None,
        definition_id: str | None = None,
        created_after: datetime | None = None,
    ) -> builtins.list[FailureGroup]:
        """Return the newest 1 000 failed runs, grouped by definition, failed step and error.

        Errors that differ in numbers and hexadecimal ids alone are one group.

        Args:
            tenant_id: Narrows to one tenant.
            definition_id: Narrows to one definition.
            created_after: Earliest time of the runs' creation, included.

        Returns:
            The group of the newest failure first.

        Raises:
            InvalidInputError: A field is wrong.
        """
        chosen = self._summary_filter(
            tenant_id=tenant_id, definition_id=definition_id, created_after=created_after
        )
        return await self._parts.run_views.failures(
            tenant_id=chosen.tenant_id,
            definition_id=chosen.definition_id,
            since=chosen.created_after,
        )

    def _summary_filter(self, **wanted: Unpack[RunSummaryFilterFields]) -> RunSummaryFilter:
        """Return the filter of a list, which does not leave the scope."""
        chosen = RunSummaryFilter(**wanted)
        return chosen.model_copy(update={"tenant_id": self._scope.narrow(chosen.tenant_id)})
