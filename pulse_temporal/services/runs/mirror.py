"""Write what happens to runs and steps without a handler: begin, wait, skip, join, end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import (
    Beginning,
    DelayBegun,
    Refusal,
    Terms,
    Written,
)
from pulse_temporal.errors import StoreError
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.paths import path_numbers
from pulse_temporal.model.steps import HandlerStep, ParallelStep, WorkflowStep
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.runs.admission import admit
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.skeleton import terms
from pulse_temporal.store import control, lineages, runs, steps
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence


class Mirror:
    """The mirror writes of one worker process; each may be repeated without harm."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        observers: Observers,
        options: EngineOptions,
    ) -> None:
        self.database = database
        self.registry = registry
        self.observers = observers
        self.options = options
        self.terms: Terms = terms(options)

    async def begin(self, fence: Fence) -> Beginning | Refusal:
        """Make an execution the one that may write, and return where its list of steps stands."""
        # One transaction: a snapshot that this release cannot read raises in it, and then the run
        # must not have begun (tests/faults/test_rows_of_tomorrow.py).
        async with self.database.transaction() as session:
            snapshot = await lineages.begin(session, fence)
        # Nobody has written before, so no step has ended: there is nothing to read.
        if snapshot is not None and fence.generation == 1:
            return self.beginning(snapshot, fence)
        async with self.database.transaction() as session:
            return await admit(session, fence) or await self._resumed(session, fence)

    async def start_delay(
        self, fence: Fence, path: str, *, now: datetime, until: datetime
    ) -> DelayBegun | Refusal:
        """Begin a delay, or find it begun earlier; the answer says when it ends."""
        async with self.database.transaction() as session:
            refusal = await admit(session, fence)
            if refusal is not None:
                return refusal
            await runs.lock_run(session, fence.run_id, tenant_id=fence.tenant_id)
            await runs.reach(session, fence, path)
            # The first write of a delay holds. One that is begun again, after a reset, keeps its
            # end: a customer's three days do not become six.
            ends = await steps.start_delay(session, fence, path, now=now, until=until)
            await runs.refresh_waiting(session, fence)
        return DelayBegun(until_ms=milliseconds(ends or until))

    async def end_delay(self, fence: Fence, path: str, *, now: datetime) -> Written | Refusal:
        """End a delay."""

        async def change(session: Session) -> list[str]:
            ended = await steps.end_delay(session, fence, path, now=now)
            await runs.refresh_waiting(session, fence)
            return ended

        return await self._change(fence, change)

    async def skip(self, fence: Fence, paths: Iterable[str], *, by: str) -> Written | Refusal:
        """Pass over steps and all below them."""

        async def change(session: Session) -> list[str]:
            return await steps.skip(session, fence, list(paths), by=by)

        return await self._change(fence, change)

    async def start_parallel(
        self, fence: Fence, path: str, *, opens_list: bool
    ) -> Written | Refusal:
        """Begin a parallel step; with ``opens_list`` its execution begins with it."""
        async with self.database.transaction() as session:
            refusal = await admit(session, fence)
            if refusal is not None:
                return refusal
            await runs.lock_run(session, fence.run_id, tenant_id=fence.tenant_id)
            await runs.reach(session, fence, path)
            await steps.start_parallel(session, fence, path)
            beginning = await self._resumed(session, fence) if opens_list else None
        return Written(beginning=beginning)

    async def finish_parallel(
        self, fence: Fence, path: str, *, error: str | None, ends_run: bool
    ) -> Written | Refusal:
        """Join the branches of a parallel step, as failed when there is an error.

        With ``ends_run`` the run is completed by it, unless there is an error.
        """
        completed = False

        async def change(session: Session) -> list[str]:
            nonlocal completed
            closed = await self._close_open(session, fence, parallel=path) if error else []
            ended = closed + await steps.finish_parallel(session, fence, path, error=error)
            if ends_run and error is None:
                completed = await runs.finish(session, fence, status="completed", error=None)
            else:
                await runs.refresh_waiting(session, fence)
            return ended

        answer = await self._change(fence, change, only_failure=error is not None)
        if not ends_run or error is not None or isinstance(answer, Refusal):
            return answer
        if completed:
            self.observers.run_ended(fence.run_id, tenant_id=fence.tenant_id)
        return Written(status="completed")

    async def take_over(self, fence: Fence) -> Written | Refusal:
        """Make an execution the one that may write from now on, and change nothing else."""
        async with self.database.transaction() as session:
            return await admit(session, fence) or Written()

    async def finish_branch(self, fence: Fence) -> Written | Refusal:
        """Note that a branch has ended: those that are left may all be waiting."""

        async def change(session: Session) -> list[str]:
            await runs.refresh_waiting(session, fence)
            return []

        return await self._change(fence, change)

    async def finish_run(self, fence: Fence, *, error: str | None) -> Written | Refusal:
        """End a run, as failed when there is an error."""
        status = "failed" if error else "completed"
        ended, closed = False, list[str]()
        # The usual way is one statement without an explicit lock. It writes nothing when the run
        # is canceled, retried or another execution's; then the slow way finds out which.
        if error is None:
            async with self.database.session() as session:
                ended = await runs.finish(session, fence, status=status, error=None)
        if not ended:
            async with self.database.transaction() as session:
                refusal = await admit(session, fence, only_failure=error is not None)
                if refusal is not None:
                    return refusal
                await runs.lock_run(session, fence.run_id, tenant_id=fence.tenant_id)
                if error is not None:  # a run that is over has no step that runs
                    closed = await self._close_open(session, fence)
                ended = await runs.finish(session, fence, status=status, error=error)
                if ended and error is not None:
                    await control.close_failed(session, fence.run_id, tenant_id=fence.tenant_id)
        self.observers.steps_ended(fence.run_id, tenant_id=fence.tenant_id, paths=closed)
        if ended:
            self.observers.run_ended(fence.run_id, tenant_id=fence.tenant_id)
        return Written(status=status)

    async def _close_open(
        self, session: Session, fence: Fence, *, parallel: str | None = None
    ) -> list[str]:
        """Fail steps that a workflow left open when it ended from outside."""
        return await steps.close_open(
            session,
            fence.run_id,
            tenant_id=fence.tenant_id,
            generation=fence.generation,
            reason="its workflow ended in Temporal",
            parallel=parallel,
        )

    async def _change(
        self,
        fence: Fence,
        change: Callable[[Session], Awaitable[list[str]]],
        *,
        only_failure: bool = False,
    ) -> Written | Refusal:
        """Make a change under the locks: control, then the run, then its steps.

        The change gives the paths of the steps that it ended; their hooks follow the commit.
        """
        async with self.database.transaction() as session:
            refusal = await admit(session, fence, only_failure=only_failure)
            if refusal is not None:
                return refusal
            await runs.lock_run(session, fence.run_id, tenant_id=fence.tenant_id)
            ended = await change(session)
        self.observers.steps_ended(fence.run_id, tenant_id=fence.tenant_id, paths=ended)
        return Written()

    async def _resumed(self, session: Session, fence: Fence) -> Beginning:
        """Return where the list of an execution stands that has been admitted."""
        run = await runs.for_start(session, fence.run_id, tenant_id=fence.tenant_id)
        if run is None:
            raise StoreError(f"Run {fence.run_id} is gone.")
        prefix = path_numbers(fence.branch) if fence.branch else []
        return self.beginning(
            run.snapshot,
            fence,
            ended=await steps.ended_in_list(session, fence, prefix),
            ended_branches=await steps.ended_branches(session, fence, prefix),
        )

    def beginning(
        self,
        snapshot: DefinitionSnapshot,
        fence: Fence,
        *,
        ended: Iterable[int] = (),
        ended_branches: Iterable[tuple[int, int]] = (),
    ) -> Beginning:
        """Return what an execution must know to begin, or to go on behind ended steps."""
        branches: dict[int, tuple[int, ...]] = {}
        for index, branch in ended_branches:
            branches[index] = (*branches.get(index, ()), branch)
        listed = steps_of(snapshot, fence.branch)
        return Beginning(
            ended=ranges(ended),
            ended_branches=branches,
            local=tuple(index for index, step in enumerate(listed) if self._is_local(step)),
            terms=self.terms,
        )

    def _is_local(self, step: WorkflowStep) -> bool:
        """Return whether a step's first delivery is local: its handler is known here, and short.

        A step says that it is short by its timeout. Async conditions are tried without one: when
        they take too long they are canceled and delivered again. Handlers in threads cannot be
        canceled, and an action may have acted by then.
        """
        limit = self.terms.local_limit_ms
        if not isinstance(step, HandlerStep):
            return False
        kind = "condition" if step.type == "condition" else "action"
        handler = self.registry.find(kind, step.handler)
        if handler is None or not handler.may_be_local:
            return False
        if step.timeout_ms is None:
            return kind == "condition" and handler.is_async and limit > 0
        return step.timeout_ms <= limit


def steps_of(snapshot: DefinitionSnapshot, branch: str) -> list[WorkflowStep]:
    """Return a list of a definition: the root's for ``""``, else a branch's such as ``2/b0``.

    Raises:
        StoreError: The definition has no such branch.
    """
    steps = snapshot.steps
    numbers = path_numbers(branch) if branch else []
    for index, number in zip(numbers[::2], numbers[1::2], strict=True):
        match steps[index]:
            case ParallelStep(branches=branches):
                steps = branches[number]
            case _:
                raise StoreError(f"{branch!r} is no branch of this run's definition.")
    return steps


def ranges(indexes: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Fold ascending numbers into ranges, both ends included."""
    found: list[tuple[int, int]] = []
    for index in indexes:
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return tuple(found)


def moment(milliseconds_since_1970: int) -> datetime:
    """Return an aware UTC datetime."""
    return datetime.fromtimestamp(milliseconds_since_1970 / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """Return milliseconds since 1970 UTC, rounded up: a delay never ends early."""
    return -(-round(at.timestamp() * 1_000_000) // 1000)
