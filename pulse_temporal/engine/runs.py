"""The engine's methods that ask about runs, wait for them, cancel, retry and replay them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection
from datetime import timedelta

from pulse_temporal.errors import (
    InvalidInputError,
    NotFoundError,
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
    StepAttempt,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.standing import standing
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.history import History
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.services.signals.replay import replay
from pulse_temporal.worker.process import Process


class RunMethods:
    """Postgres alone is asked and decides, so these work without ``start`` and Temporal."""

    _control: RunControl
    _history: History
    _waiter: RunWaiter
    _process: Process
    _emitter: Emitter

    async def get_run(self, run_id: str, *, tenant_id: str | None = None) -> WorkflowRun | None:
        """Give a run, or None; ``context`` is computed from the results so far."""
        return await self._history.get_run(run_id, tenant_id=tenant_id)

    async def get_run_steps(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[WorkflowStepRun]:
        """Give all step runs of a run, in document order; empty when there is no such run."""
        return await self._history.get_run_steps(run_id, tenant_id=tenant_id)

    async def get_step_attempts(
        self, run_id: str, path: str | None = None, *, tenant_id: str | None = None
    ) -> list[StepAttempt]:
        """Return the attempts of a run's steps with their tracebacks; empty when there are none.

        Args:
            run_id: Which run.
            path: Narrows to one step, for example ``2/b0/1``.
            tenant_id: Narrows to one tenant.

        Returns:
            In document order; those of one step in the order in which workers took it.
        """
        return await self._history.get_step_attempts(run_id, path=path, tenant_id=tenant_id)

    async def get_runs_by_trigger(
        self,
        trigger_id: str,
        *,
        tenant_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowRun]:
        """Return one page of the runs that a signal started, newest first, as ``list_runs``.

        Args:
            trigger_id: Which signal; replays of it have started runs too.
            tenant_id: Narrows to one tenant.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
        """
        wanted = RunFilter(trigger_id=trigger_id, tenant_id=tenant_id)
        return await self._history.list_runs(wanted, limit=limit, cursor=cursor)

    async def get_trigger(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> TriggerEnvelope | None:
        """Give a stored signal, or None."""
        return await self._history.get_trigger(trigger_id, tenant_id=tenant_id)

    async def list_runs(
        self, wanted: RunFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkflowRun]:
        """Return one page of runs, newest first; ``context`` is as of the last wait, join or end.

        A page also ends when the definitions and contexts of its runs have 8 MiB as JSON; it has
        one run at least. Go on until ``next_cursor`` is None, not until a page is short.

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
            by: Who cancels, for the timeline: a person's name or address, for example.

        Raises:
            NotFoundError: There is no such run.
            RunTransitionError: The run is over.
        """
        run = await self._control.cancel(run_id, tenant_id=tenant_id, reason=reason, by=by)
        self._process.nudge()
        return run

    async def retry_run(
        self, run_id: str, *, tenant_id: str | None = None, by: str | None = None
    ) -> WorkflowRun:
        """Retry a failed run from the step that failed; what completed is kept.

        The run keeps its id and its definition; its generation rises by 1, and each step has a
        fresh budget of attempts. In a parallel step only the failed branches go on. Works after
        Temporal has forgotten the run, and while Temporal is away.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
            by: Who retries, for the timeline: a person's name or address, for example.

        Raises:
            NotFoundError: There is no such run.
            RunTransitionError: The run has not failed.
            RunConflictError: Somebody else retried it at the same moment.
        """
        run = await self._control.retry(run_id, tenant_id=tenant_id, by=by)
        self._process.nudge()
        return run

    async def get_failed_runs(
        self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkflowRun]:
        """Return one page of failed runs, newest first, as ``list_runs``.

        Args:
            tenant_id: Narrows to one tenant.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before. A run that is retried leaves the list; no
                other one is passed over by it.
        """
        wanted = RunFilter(tenant_id=tenant_id, status="failed")
        return await self._history.list_runs(wanted, limit=limit, cursor=cursor)

    async def replay(
        self,
        trigger_id: str,
        *,
        dry_run: bool = False,
        tenant_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[WorkflowRun]:
        """Run a stored signal again, with the definitions that match it now.

        Actions that are not ``replay_safe`` are skipped; later steps see the result that the
        original run recorded for them. Signals that these runs emit are marked as replays too.

        Args:
            trigger_id: Which signal.
            dry_run: Only conditions are evaluated; actions and delays are skipped and nothing
                is emitted.
            tenant_id: Narrows to one tenant.
            idempotency_key: A replay that is repeated with the same key, of the tenant, gives the
                runs of the first time instead of new ones. Give one wherever a call may be
                repeated: after an error, or by a button that is pressed twice.

        Returns:
            The new runs, oldest definition first; empty when nothing matches.

        Raises:
            NotFoundError: There is no such trigger.
            IdempotencyConflictError: The key was used for another replay.
            TransactionInDoubtError: Without an answer to the commit, or the runs are stored and
                could not be read then; the message names them.
        """
        return await replay(
            self._emitter,
            self._history,
            trigger_id,
            tenant_id=tenant_id,
            is_dry_run=dry_run,
            key=idempotency_key,
        )

    async def wait_for_run(
        self,
        run_id: str,
        timeout: float | timedelta | None = 30.0,  # noqa: ASYNC109 - the word users expect
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
        patience = seconds_of(timeout)
        if not _looks_like_ours(run_id) and not await self._is_known(run_id, tenant_id=tenant_id):
            shown = cut_repr(run_id)[:100]
            raise NotFoundError(f"There is no run {shown}: ids are text that begins with 'run_'.")
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        while True:
            try:
                await self._waiter.wait(run_id, tenant_id=tenant_id, seconds=deadline - clock())
            except TimeoutError:
                where = await self._standing(run_id, tenant_id=tenant_id)
                raise PulseTimeoutError(
                    f"Run {run_id} is not over after {patience:g} s: {where}."
                ) from None
            run = await self.get_run(run_id, tenant_id=tenant_id)
            if run is None:
                raise NotFoundError(f"There is no run {run_id}.")
            if run.status in TERMINAL_RUN_STATUSES:
                return run
            # It was over and goes on: somebody has retried it, or reset it in Temporal.

    async def _is_known(self, run_id: object, *, tenant_id: str | None) -> bool:
        """Whether there is a run of an id that may be of another make."""
        if not isinstance(run_id, str) or UNSAFE.search(run_id):
            return False
        return await self.get_run(run_id, tenant_id=tenant_id) is not None

    async def _standing(self, run_id: str, *, tenant_id: str | None) -> str:
        """Return where a run stands, or that Postgres does not say."""
        try:
            run = await self.get_run(run_id, tenant_id=tenant_id)
            steps = await self.get_run_steps(run_id, tenant_id=tenant_id) if run else []
        except PulseError as error:
            return f"where it stands is not known: {error}"
        return standing(run, steps).rstrip(".")


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
