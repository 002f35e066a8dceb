"""``engine.runs``: read runs, wait for them, cancel and retry them."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import math
from collections.abc import AsyncGenerator, Collection
from datetime import timedelta
from typing import Unpack

from pulse_temporal.config import Duration
from pulse_temporal.engine.operations import Awaited, Blocking, iteration, operation
from pulse_temporal.engine.run_views import RunViewMethods
from pulse_temporal.engine.run_watching import RunWatchMethods
from pulse_temporal.errors import (
    InvalidInputError,
    NotFoundError,
    PostgresUnavailableError,
    PulseError,
    PulseTimeoutError,
)
from pulse_temporal.model.plain import UNSAFE, cut_repr
from pulse_temporal.model.runs import (
    TERMINAL_RUN_STATUSES,
    ExecutionLog,
    LogLevel,
    Page,
    RunFilter,
    RunFilterFields,
    StepAttempt,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.standing import standing
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.services.pages import every_item


class RunMethods(RunViewMethods, RunWatchMethods):
    """Postgres alone is asked and decides, so these work without ``start`` and Temporal.

    Of an unknown id ``get`` and ``view`` give None, and all others raise ``NotFoundError``; only
    ``wait`` waits for it, as its transaction may not have committed yet. Another tenant's id is
    unknown to whoever gives a ``tenant_id``, and to the view of a tenant.
    """

    @operation
    async def get(self, run_id: str, *, tenant_id: str | None = None) -> WorkflowRun | None:
        """Return a run, or None; ``context`` is computed from the results so far.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
        """
        return await self._get(run_id, tenant_id=self._scope.narrow(tenant_id))

    @operation
    async def list(
        self, *, limit: int = 50, cursor: str | None = None, **wanted: Unpack[RunFilterFields]
    ) -> Page[WorkflowRun]:
        """Return one page of runs, newest first; ``context`` is as of the last wait, join or end.

        A page also ends when the definitions and contexts of its runs have 8 MiB as JSON; it has
        one run at least. Go on until ``next_cursor`` is None, not until a page is short. A run
        that changes its status may leave the list or join it; no other one is passed over by it.

        Args:
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
            wanted: Fields of ``RunFilter``, such as ``status="failed"``; each narrows the list.
                Without any: all runs of all tenants.

        Raises:
            InvalidInputError: A field is unknown or wrong.
        """
        return await self._page(self._filter(**wanted), limit=limit, cursor=cursor)

    @iteration
    async def iterate(
        self, *, page_size: int = 100, **wanted: Unpack[RunFilterFields]
    ) -> AsyncGenerator[WorkflowRun]:
        """Yield all runs of a list, newest first, and read them page by page.

        ```python
        async for run in engine.runs.iterate(tenant_id="acme", status="failed"):
            await engine.runs.retry(run.id)
        ```

        Nothing is open between two pages. Runs that begin meanwhile are not among them.

        Args:
            page_size: Runs that are read at once, 1 to 500.
            wanted: As of ``list``.

        Raises:
            InvalidInputError: A field is unknown or wrong.
        """
        chosen = self._filter(**wanted)
        pages = every_item(lambda cursor: self._page(chosen, limit=page_size, cursor=cursor))
        async for run in pages:
            yield run

    @operation
    async def steps(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> builtins.list[WorkflowStepRun]:
        """Return all step runs of a run, in document order.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.

        Raises:
            NotFoundError: There is no such run.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.history.get_run_steps(run_id, tenant_id=narrowed)

    @operation
    async def attempts(
        self, run_id: str, path: str | None = None, *, tenant_id: str | None = None
    ) -> builtins.list[StepAttempt]:
        """Return the attempts of a run's steps with their tracebacks.

        Args:
            run_id: Which run.
            path: Narrows to one step, for example ``2/b0/1``.
            tenant_id: Narrows to one tenant.

        Returns:
            In document order; those of one step in the order in which workers took it.

        Raises:
            NotFoundError: There is no such run.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.history.get_step_attempts(run_id, path=path, tenant_id=narrowed)

    @operation
    async def timeline(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> builtins.list[RunTimelineEntry]:
        """Return what happened to a run, in order.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.

        Raises:
            NotFoundError: There is no such run.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.history.get_run_timeline(run_id, tenant_id=narrowed)

    @operation
    async def logs(
        self,
        run_id: str,
        *,
        tenant_id: str | None = None,
        levels: Collection[LogLevel] | None = None,
    ) -> builtins.list[ExecutionLog]:
        """Return the lines that handlers wrote with ``ctx.log``, in order.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
            levels: Narrows to these levels.

        Raises:
            NotFoundError: There is no such run.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.history.get_run_logs(run_id, tenant_id=narrowed, levels=levels)

    @operation
    async def cancel(
        self,
        run_id: str,
        reason: str | None = None,
        *,
        tenant_id: str | None = None,
        by: str | None = None,
    ) -> WorkflowRun:
        """Cancel a run, for good, also while Temporal is away.

        When this returns no step is claimed any more and no transactional action commits. A
        handler that runs is told; what it has done outside of Postgres stays done.

        Args:
            run_id: Which run.
            reason: Why, for ``cancel_reason`` and the timeline.
            tenant_id: Narrows to one tenant.
            by: Who cancels, for the timeline: a person's name or address, for example. None: who
                is named by ``acting``.

        Raises:
            NotFoundError: There is no such run.
            RunTransitionError: The run is over.
        """
        narrowed = self._scope.narrow(tenant_id)
        run = await self._parts.control.cancel(run_id, tenant_id=narrowed, reason=reason, by=by)
        self._parts.process.nudge()
        return run

    @operation
    async def retry(
        self,
        run_id: str,
        *,
        reason: str | None = None,
        tenant_id: str | None = None,
        by: str | None = None,
    ) -> WorkflowRun:
        """Retry a failed run from the step that failed; what completed is kept.

        The run keeps its id and its definition; its generation rises by 1, and each step has a
        fresh budget of attempts. In a parallel step only the failed branches go on. Works after
        Temporal has forgotten the run, and while Temporal is away.

        Args:
            run_id: Which run.
            reason: Why, for the audit; cut at 1 000 bytes.
            tenant_id: Narrows to one tenant.
            by: Who retries, for the timeline: a person's name or address, for example. None: who
                is named by ``acting``.

        Raises:
            NotFoundError: There is no such run.
            RunTransitionError: The run has not failed.
            RunConflictError: Somebody else retried it at the same moment.
        """
        narrowed = self._scope.narrow(tenant_id)
        run = await self._parts.control.retry(run_id, tenant_id=narrowed, reason=reason, by=by)
        self._parts.process.nudge()
        return run

    @operation
    async def wait(
        self,
        run_id: str,
        timeout: Duration | None = 30.0,
        *,
        tenant_id: str | None = None,
    ) -> WorkflowRun:
        """Wait until a run is over.

        Args:
            run_id: May still be uncommitted: an unknown id is waited for.
            timeout: A length of time, or a number of seconds; None waits without end.
            tenant_id: Narrows to one tenant; another tenant's run is never over.

        Raises:
            InvalidInputError: ``timeout`` is no length of time.
            PulseTimeoutError: The run is not over in time. It is a ``TimeoutError`` too, and says
                where the run stands.
            NotFoundError: No run can have this id.
        """
        tenant_id = self._scope.narrow(tenant_id)
        patience = seconds_of(timeout)
        if not _looks_like_ours(run_id) and not await self._is_known(run_id, tenant_id=tenant_id):
            shown = cut_repr(run_id)[:100]
            raise NotFoundError(f"There is no run {shown}: ids are text that begins with 'run_'.")
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        while True:
            try:
                left = deadline - clock()
                await self._parts.waiter.wait(run_id, tenant_id=tenant_id, seconds=left)
            except TimeoutError:
                where = await self._standing(run_id, tenant_id=tenant_id)
                raise PulseTimeoutError(
                    f"Run {run_id} is not over after {patience:g} s: {where}."
                ) from None
            try:
                run = await self._get(run_id, tenant_id=tenant_id)
            except PostgresUnavailableError:
                continue  # as the waiter does: an outage ends the wait at its time, not before
            if run is None:
                raise NotFoundError(f"There is no run {run_id}.")
            if run.status in TERMINAL_RUN_STATUSES:
                return run
            # It was over and goes on: somebody has retried it, or reset it in Temporal.

    async def _get(self, run_id: str, *, tenant_id: str | None) -> WorkflowRun | None:
        return await self._parts.history.get_run(run_id, tenant_id=tenant_id)

    def _filter(self, **wanted: Unpack[RunFilterFields]) -> RunFilter:
        """Return the filter of a list, which does not leave the scope."""
        chosen = RunFilter(**wanted)
        return chosen.model_copy(update={"tenant_id": self._scope.narrow(chosen.tenant_id)})

    async def _page(
        self, chosen: RunFilter, *, limit: int, cursor: str | None
    ) -> Page[WorkflowRun]:
        return await self._parts.history.list_runs(chosen, limit=limit, cursor=cursor)

    async def _is_known(self, run_id: object, *, tenant_id: str | None) -> bool:
        """Whether there is a run of an id that may be of another make."""
        if not isinstance(run_id, str) or UNSAFE.search(run_id):
            return False
        return await self._get(run_id, tenant_id=tenant_id) is not None

    async def _standing(self, run_id: str, *, tenant_id: str | None) -> str:
        """Return where a run stands, or that Postgres does not say."""
        history = self._parts.history
        try:
            run = await self._get(run_id, tenant_id=tenant_id)
            steps = await history.get_run_steps(run_id, tenant_id=tenant_id) if run else []
        except PulseError as error:
            return f"where it stands is not known: {error}"
        return standing(run, steps).rstrip(".")


class EngineRuns(RunMethods, Awaited):
    """``engine.runs``: read runs, wait for them, cancel and retry them."""


class BlockingRuns(RunMethods, Blocking):
    """``engine.blocking.runs``: the methods of ``engine.runs`` for code that is not async."""


def seconds_of(timeout: object) -> float:
    """Return a bound in seconds; None is no bound.

    Raises:
        InvalidInputError: It is no length of time.
    """
    if timeout is None:
        return math.inf
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        with contextlib.suppress(OverflowError):  # an integer beyond any float
            seconds = float(timeout)
            if not math.isnan(seconds):
                return seconds
    raise InvalidInputError(
        f"timeout must be a timedelta, a number of seconds or None, not {cut_repr(timeout)[:100]}."
    )


def _looks_like_ours(run_id: object) -> bool:
    """Whether an id may be of a run whose transaction has not committed yet.

    Ids of the TypeScript Pulse look otherwise, but those runs are all there.
    """
    return isinstance(run_id, str) and run_id.startswith("run_")
