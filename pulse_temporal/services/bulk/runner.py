"""Do what bulk operations ask for, run by run; every worker process has one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import assert_never

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    NotFoundError,
    NotUnderstoodError,
    PostgresUnavailableError,
    PulseError,
    RunConflictError,
    RunTransitionError,
)
from pulse_temporal.failpoints import reach
from pulse_temporal.model.acting import acting
from pulse_temporal.model.bulk import ELIGIBLE, BulkFilter, BulkKind
from pulse_temporal.model.values import JsonObject
from pulse_temporal.notices import Repeats
from pulse_temporal.postgres.joining import savepoint
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.bulk.walks import Walk
from pulse_temporal.services.runs.control import Canceled, RunControl, cancel_in, retry_in
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.services.signals.replay import replay_in
from pulse_temporal.store import bulk
from pulse_temporal.store.bulk import NextItem, Result, Turn, result_of
from pulse_temporal.store.database import Database

log: logging.Logger = logging.getLogger(__name__)

TENANTS = 50
"""Tenants that have a turn in one round."""

SLICE = 10
"""Things that are done for a tenant in its turn, when others wait for theirs."""

GLANCE = timedelta(seconds=1)
"""Longest pause between two looks; operations that another process starts wait so long."""

REST = timedelta(seconds=5)
"""How long an operation rests that cannot go on."""

MOST_STUMBLES = 5
"""An item that fails so often in a way that nobody foresaw is given up."""


class BulkRunner:
    """Looks for bulk operations that are due, and does the next things for them.

    What is done to a run, and that it is done, are one transaction, under the lock of the
    operation's row. So a process that dies loses nothing and does nothing twice, an abort waits
    for one run at most, and the rate holds for all processes together. Tenants take turns, with
    one operation each at a time: nobody's backlog keeps another's operation waiting. The runs
    that retries and replays start wait in the outbox as all others do.

    Args:
        database: Where the operations are.
        control: Tells hooks of what is canceled.
        emitter: Replays signals.
        options: Has the task queue.
        started: Called when there may be runs to start.
    """

    def __init__(
        self,
        database: Database,
        control: RunControl,
        emitter: Emitter,
        options: EngineOptions,
        *,
        started: Callable[[], None],
    ) -> None:
        self.database = database
        self.control = control
        self.emitter = emitter
        self.options = options
        self._started = started
        self._wake = asyncio.Event()
        self._repeats = Repeats()
        self._stumbles: Counter[str] = Counter()

    def nudge(self) -> None:
        """Let the next look come at once: an operation has just been started."""
        self._wake.set()

    def begin(self) -> None:
        """Move into the running event loop, which may be another one than last time."""
        self._wake = asyncio.Event()
        self._stumbles.clear()

    async def run(self) -> None:
        """Do rounds until canceled."""
        while True:
            try:
                pause = timedelta() if await self.tick() else await self._until_due()
                self._repeats.is_over()
            except PulseError as error:
                pause = GLANCE
                self._tell(error)
            if pause:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause.total_seconds())
            self._wake.clear()

    async def tick(self) -> int:
        """Take a turn for each tenant whose operation is due; return how many things were done."""
        async with self.database.session() as session:
            due = await bulk.due(session, task_queue=self.options.task_queue, limit=TENANTS)
        done = 0
        for operation_id, tenant_id in due:
            done += await self._turn(operation_id, tenant_id=tenant_id)
        return done

    async def _until_due(self) -> timedelta:
        async with self.database.session() as session:
            seconds = await bulk.next_due(session, task_queue=self.options.task_queue)
        if seconds is None:
            return GLANCE
        # One that is due now is in the hands of another process.
        return min(GLANCE, timedelta(seconds=max(seconds, 0.02)))

    async def _turn(self, operation_id: str, *, tenant_id: str) -> int:
        done = 0
        try:
            while done < SLICE and await self._step(operation_id, tenant_id=tenant_id):
                done += 1
        except PostgresUnavailableError:
            raise
        except Exception as error:
            # Whatever it is, the operations of others go on.
            facts = {"operation": operation_id, "error": repr(error)}
            if self._repeats.is_due(f"{operation_id} {error!r}"):
                log.exception(
                    "Bulk operation %(operation)s cannot go on and is tried again: %(error)s",
                    facts,
                    extra=facts,
                )
            async with self.database.session() as session:
                await bulk.postpone(session, operation_id, tenant_id=tenant_id, pause=REST)
        return done

    async def _step(self, operation_id: str, *, tenant_id: str) -> bool:
        """Do one thing for an operation; return whether there was one to do."""
        canceled = None
        async with self.database.transaction() as session:
            turn = await bulk.take_turn(session, operation_id, tenant_id=tenant_id)
            if turn is None:
                return False
            if turn.operation.status == "collecting":
                await self._collect(session, turn)
                await reach("bulk.before_collected")
            else:
                canceled = await self._do(session, turn)
                await reach("bulk.before_commit")
        await reach("bulk.after_commit")
        if canceled is not None:
            self.control.tell(canceled)
        self._started()
        return True

    async def _collect(self, session: Session, turn: Turn) -> None:
        """Write down the next page of the runs that the filter means."""
        chosen = BulkFilter.model_validate(turn.operation.filter or {})
        chosen = chosen.model_copy(update={"tenant_id": turn.operation.tenant_id})
        walk = Walk(_kind(turn), chosen)
        page = await walk.page(session, turn.walked)
        added = await bulk.collect(session, turn, page.run_ids, walk.which)
        await bulk.walk_on(session, turn, page.until, added)

    async def _do(self, session: Session, turn: Turn) -> Canceled | None:
        """Do it to the next run, and write down how that ended; return what hooks must hear."""
        item = await bulk.next_item(session, turn)
        if item is None:
            raise PulseError(f"Bulk operation {turn.operation.id} has no item left and is open.")
        result, canceled = await self._tried(session, turn, item)
        await bulk.end_item(session, turn, item, result)
        return canceled

    async def _tried(
        self, session: Session, turn: Turn, item: NextItem
    ) -> tuple[Result, Canceled | None]:
        operation_id = turn.operation.id
        try:
            # What fails leaves nothing behind but how it failed.
            async with savepoint(session):
                with acting(turn.operation.actor, request_id=turn.request_id):
                    done = await self._act(session, turn, item)
        except (RunTransitionError, RunConflictError) as error:
            return result_of(error, outcome="skipped"), None
        except PulseError as error:
            if error.retryable and not isinstance(error, NotUnderstoodError):
                raise
            return result_of(error, outcome="failed"), None
        except Exception as error:
            self._stumbles[operation_id] += 1
            if self._stumbles[operation_id] < MOST_STUMBLES:
                raise
            log.exception("Run %s cannot be worked on in bulk.", item.run_id)
            done = Result("failed", code="internal", error=type(error).__name__), None
        del self._stumbles[operation_id]
        return done

    async def _act(
        self, session: Session, turn: Turn, item: NextItem
    ) -> tuple[Result, Canceled | None]:
        operation, run_id, kind = turn.operation, item.run_id, _kind(turn)
        detail: JsonObject = {"bulk": operation.id}
        match kind:
            case "cancel":
                canceled = await cancel_in(
                    session,
                    run_id,
                    tenant_id=operation.tenant_id,
                    reason=operation.reason,
                    detail=detail,
                )
                return Result("done"), canceled
            case "retry":
                generation = await retry_in(
                    session,
                    run_id,
                    tenant_id=operation.tenant_id,
                    reason=operation.reason,
                    detail=detail,
                )
                return Result("done", generation=generation), None
            case "replay":
                return await self._replay(session, turn, item, detail=detail), None
            case _:
                assert_never(kind)

    async def _replay(
        self, session: Session, turn: Turn, item: NextItem, *, detail: JsonObject
    ) -> Result:
        """Replay the signal of a run, unless it was done for another run of the operation."""
        operation, trigger_id = turn.operation, item.trigger_id
        if trigger_id is None:
            raise NotFoundError(f"There is no run {item.run_id}.")
        run_ids = await replay_in(
            session,
            self.emitter,
            trigger_id,
            tenant_id=operation.tenant_id,
            key=f"{operation.id}/{trigger_id}",
            reason=operation.reason,
            detail=detail,
        )
        if run_ids is None:
            told = "Its signal was replayed for another run of this operation."
            return Result("skipped", code="replayed_already", error=told)
        return Result("done", run_ids=run_ids)

    def _tell(self, error: PulseError) -> None:
        """Warn that nothing goes on; of the same cause only after growing pauses."""
        facts = {"error": str(error)}
        if self._repeats.is_due(f"{error}"):
            log.warning("Bulk operations wait: %(error)s", facts, extra=facts)


def _kind(turn: Turn) -> BulkKind:
    """Return what an operation does; others are not asked for."""
    for kind in ELIGIBLE:
        if kind == turn.operation.kind:
            return kind
    raise PulseError(f"Bulk operation {turn.operation.id} is of an unknown kind.")
