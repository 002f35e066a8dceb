"""The engine's methods that ask about runs, wait for them and cancel them."""

from __future__ import annotations

from collections.abc import Collection

from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.runs import (
    ExecutionLog,
    LogLevel,
    Page,
    RunFilter,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.services.control import cancel_run
from pulse_temporal.services.history import History
from pulse_temporal.services.waiting import RunWaiter
from pulse_temporal.store.database import Database


class RunMethods:
    """Postgres alone is asked, so these work without ``start`` and without Temporal."""

    _database: Database
    _history: History
    _waiter: RunWaiter

    async def get_run(self, run_id: str, *, tenant_id: str | None = None) -> WorkflowRun | None:
        """Give a run, or None; ``context`` is computed from the results so far."""
        return await self._history.get_run(run_id, tenant_id=tenant_id)

    async def get_run_steps(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[WorkflowStepRun]:
        """Give all step runs of a run, in document order; empty when there is no such run."""
        return await self._history.get_run_steps(run_id, tenant_id=tenant_id)

    async def get_runs_by_trigger(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> list[WorkflowRun]:
        """Give the runs that a signal started, oldest first."""
        return await self._history.all_runs(RunFilter(trigger_id=trigger_id, tenant_id=tenant_id))

    async def get_trigger(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> TriggerEnvelope | None:
        """Give a stored signal, or None."""
        return await self._history.get_trigger(trigger_id, tenant_id=tenant_id)

    async def list_runs(
        self, wanted: RunFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkflowRun]:
        """Give one page of runs, newest first; ``context`` is as of their last wait, join or end.

        Args:
            wanted: Which runs; None for all tenants' runs.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
        """
        return await self._history.list_runs(wanted or RunFilter(), limit=limit, cursor=cursor)

    async def get_run_timeline(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[RunTimelineEntry]:
        """Tell what happened to a run, in order; empty when there is no such run."""
        return await self._history.get_run_timeline(run_id, tenant_id=tenant_id)

    async def get_run_logs(
        self,
        run_id: str,
        *,
        tenant_id: str | None = None,
        levels: Collection[LogLevel] | None = None,
    ) -> list[ExecutionLog]:
        """Give the lines that handlers wrote with ``ctx.log``, in order.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
            levels: Narrows to these levels.
        """
        return await self._history.get_run_logs(run_id, tenant_id=tenant_id, levels=levels)

    async def cancel_run(
        self, run_id: str, reason: str | None = None, *, tenant_id: str | None = None
    ) -> WorkflowRun:
        """Cancel a run, for good, also while Temporal is away.

        When this returns no step is claimed any more and no transactional action commits. A
        handler that runs is told; what it has done outside of Postgres stays done.

        Raises:
            NotFoundError: There is no such run.
            RunTransitionError: The run is over.
        """
        return await cancel_run(self._database, run_id, tenant_id=tenant_id, reason=reason)

    async def wait_for_run(
        self,
        run_id: str,
        timeout: float = 30.0,  # noqa: ASYNC109 - the word users expect
        *,
        tenant_id: str | None = None,
    ) -> WorkflowRun:
        """Wait until a run is over.

        Args:
            run_id: May still be uncommitted: an unknown id is waited for.
            timeout: Seconds.
            tenant_id: Narrows to one tenant.

        Raises:
            TimeoutError: The run is not over in time.
            NotFoundError: The run belongs to another tenant.
        """
        await self._waiter.wait(run_id, seconds=timeout)
        run = await self.get_run(run_id, tenant_id=tenant_id)
        if run is None:
            raise NotFoundError(f"There is no run {run_id}.")
        return run
