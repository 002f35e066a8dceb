"""The flat names of what lists and pages stand on: each is a method of a namespace."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.engine.runs import EngineRuns
from pulse_temporal.engine.scope import TenantScope
from pulse_temporal.engine.signals import EngineSignals
from pulse_temporal.engine.wiring import Parts
from pulse_temporal.model.runs import Page
from pulse_temporal.model.signal_views import SignalChain, SignalSummary
from pulse_temporal.model.view_filters import RunSummaryFilterFields, SignalFilterFields
from pulse_temporal.model.views import FailureGroup, RunCounts, RunSummary, RunView, StepView


class FlatViewMethods(Methods):
    """What lists and pages stand on, by one name."""

    def __init__(self, parts: Parts, scope: TenantScope) -> None:
        super().__init__(parts, scope)
        self._runs = EngineRuns(parts, scope)
        self._signals = EngineSignals(parts, scope)

    @operation
    async def list_run_summaries(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **wanted: Unpack[RunSummaryFilterFields],
    ) -> Page[RunSummary]:
        """Return one page of runs as a list shows them: ``runs.list_summaries``."""
        return await self._runs.list_summaries(limit=limit, cursor=cursor, **wanted)

    @operation
    async def count_runs(self, **wanted: Unpack[RunSummaryFilterFields]) -> RunCounts:
        """Count runs by status and by attention: ``runs.count``."""
        return await self._runs.count(**wanted)

    @operation
    async def get_run_view(self, run_id: str, *, tenant_id: str | None = None) -> RunView | None:
        """Return a run as its page shows it, or None: ``runs.view``."""
        return await self._runs.view(run_id, tenant_id=tenant_id)

    @operation
    async def get_step(
        self,
        run_id: str,
        path: str,
        *,
        claim: int | None = None,
        tenant_id: str | None = None,
    ) -> StepView:
        """Return one step with all that is on record about it: ``runs.step``."""
        return await self._runs.step(run_id, path, claim=claim, tenant_id=tenant_id)

    @operation
    async def list_failures(
        self,
        *,
        tenant_id: str | None = None,
        definition_id: str | None = None,
        created_after: datetime | None = None,
    ) -> list[FailureGroup]:
        """Return the newest failed runs in groups of the same error: ``runs.failures``."""
        return await self._runs.failures(
            tenant_id=tenant_id, definition_id=definition_id, created_after=created_after
        )

    @operation
    async def list_signals(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **wanted: Unpack[SignalFilterFields],
    ) -> Page[SignalSummary]:
        """Return one page of a tenant's signals: ``signals.list``."""
        return await self._signals.list(limit=limit, cursor=cursor, **wanted)

    @operation
    async def signal_chain(self, trigger_id: str, *, tenant_id: str | None = None) -> SignalChain:
        """Return the chain that a signal belongs to: ``signals.chain``."""
        return await self._signals.chain(trigger_id, tenant_id=tenant_id)
