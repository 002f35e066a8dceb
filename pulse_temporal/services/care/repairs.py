"""Repair what differs between the mirror and Temporal, each in a transaction.

Every repair looks again under the run's lock, and leaves a run alone that has moved on since the
difference was found. Each adds a line to the run's log with the reconciler as its source.
"""

from __future__ import annotations

from pydantic_core import to_json

from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.reconcile import Repair
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.runs.control import cancel_locked
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import control, outbox, reconcile, runs, steps, timeline
from pulse_temporal.store.control import Control
from pulse_temporal.store.database import Database

OPEN = ("pending", "running", "waiting")
MAX_RESTARTS = 5
"""Restarts of a run since its last retry; a run whose workflow vanishes again and again fails."""


class Repairs:
    """Applies remedies in Postgres; commands to Temporal go through the outbox."""

    def __init__(
        self, database: Database, observers: Observers, options: EngineOptions, *, clock: Clock
    ) -> None:
        self.database = database
        self.observers = observers
        self.options = options
        self.clock = clock

    async def apply(self, repair: Repair) -> Repair | None:
        """Apply a remedy and return what was done; None when the run has moved on since.

        After ``MAX_RESTARTS`` restarts, the run is failed instead of restarted.
        """
        if repair.remedy == "restart" and await self._is_in_vain(repair):
            reason = f"{repair.reason} It was restarted {MAX_RESTARTS} times before."
            repair = repair.model_copy(update={"remedy": "fail", "reason": reason})
        return repair if await self._apply(repair) else None

    async def _apply(self, repair: Repair) -> bool:
        match repair.remedy:
            case "fail":
                return await self._fail(repair)
            case "cancel":
                return await self._cancel(repair)
            case "restart" | "start":
                return await self._start(repair)
            case "end_workflow":
                return await self._end_workflow(repair)
            case "terminate_workflow":
                return await self._note_termination(repair)
            case "sync_schedule":
                return await self._sync_schedule(repair)

    async def _is_in_vain(self, repair: Repair) -> bool:
        """Return whether a run was restarted so often that another time will not help."""
        async with self.database.session() as session:
            restarts = await reconcile.restarts(
                session, repair.subject_id, tenant_id=repair.tenant_id
            )
        return restarts >= MAX_RESTARTS

    async def _fail(self, repair: Repair) -> bool:
        """Fail a run whose workflow was terminated, timed out or failed in Temporal."""
        run_id, tenant_id = repair.subject_id, repair.tenant_id
        async with self.database.transaction() as session:
            row = await self._lock_open(session, repair)
            if row is None:
                return False
            await control.close_failed(session, run_id, tenant_id=tenant_id)
            ended = await steps.close_open(
                session,
                run_id,
                tenant_id=tenant_id,
                generation=repair.generation,
                reason="its workflow ended in Temporal",
            )
            await self._tell(session, repair)
            await runs.fail(session, run_id, tenant_id=tenant_id, error=repair.reason)
        # After the commit: hooks and waiters read the run from Postgres.
        self.observers.steps_ended(run_id, tenant_id=tenant_id, paths=ended)
        self.observers.run_ended(run_id, tenant_id=tenant_id)
        return True

    async def _cancel(self, repair: Repair) -> bool:
        """Cancel a run whose workflow was canceled in Temporal and has not written it."""
        run_id, tenant_id = repair.subject_id, repair.tenant_id
        async with self.database.transaction() as session:
            row = await self._lock_open(session, repair)
            if row is None:
                return False
            await self._tell(session, repair)
            ended = await cancel_locked(session, run_id, row=row, reason=repair.reason)
        self.observers.steps_ended(run_id, tenant_id=tenant_id, paths=ended)
        self.observers.run_ended(run_id, tenant_id=tenant_id)
        return True

    async def _start(self, repair: Repair) -> bool:
        """Start a run's workflow; as the next generation if this one's had begun and was lost.

        A new generation has another workflow id: should Temporal still have the old workflow,
        its writes are refused, and no step is done by both.
        """
        async with self.database.transaction() as session:
            row = await self._lock_open(session, repair)
            if row is None:
                return False
            if repair.remedy == "restart":
                row = await control.reopen(
                    session,
                    repair.subject_id,
                    row=row,
                    generation=row.generation + 1,
                    why="restart",
                )
            await self._tell(session, repair)
            await outbox.put(session, "start", run_id=repair.subject_id, control=row)
        return True

    async def _end_workflow(self, repair: Repair) -> bool:
        """Cancel an open workflow of a generation that the run has left behind, or of its cancel.

        The run itself is not touched: the command names the generation of the workflow.
        """
        async with self.database.transaction() as session:
            row = await control.lock(session, repair.subject_id, tenant_id=repair.tenant_id)
            if row is None:
                return False
            old = Control(row.tenant_id, repair.generation, row.task_queue, row.closed_as)
            await outbox.put(session, "cancel", run_id=repair.subject_id, control=old)
            await self._tell(session, repair)
        return True

    async def _note_termination(self, repair: Repair) -> bool:
        """Tell in a run's log that the reconciler has terminated a workflow of it."""
        async with self.database.transaction() as session:
            await self._tell(session, repair)
        return True

    async def _sync_schedule(self, repair: Repair) -> bool:
        async with self.database.transaction() as session:
            await outbox.put_schedule(
                session,
                tenant_id=repair.tenant_id,
                definition_id=repair.subject_id,
                task_queue=self.options.task_queue,
            )
        return True

    async def _lock_open(self, session: Session, repair: Repair) -> Control | None:
        """Lock a run and return its control row; None when it is no longer as it was found.

        A command on its way to Temporal may be what is missing there: a start that the relay
        has yet to make is no lost workflow.
        """
        run_id, tenant_id = repair.subject_id, repair.tenant_id
        row = await control.lock(session, run_id, tenant_id=tenant_id)
        if row is None or row.closed_as or row.generation != repair.generation:
            return None
        status = await runs.lock_run(session, run_id, tenant_id=tenant_id)
        on_its_way = await reconcile.has_command(session, run_id, tenant_id=tenant_id)
        return row if status in OPEN and not on_its_way else None

    async def _tell(self, session: Session, repair: Repair) -> None:
        """Add a line about a repair to the run's log; ``restarts`` counts these."""
        line = LogLine(
            id=new_id("log"),
            level="warn",
            message=repair.reason,
            data=to_json(
                {"source": "reconciler", "repair": repair.remedy, "found": repair.found}
            ).decode(),
            at=self.clock(),
        )
        await timeline.add_log(
            session, line, run_id=repair.subject_id, step_run_id=None, tenant_id=repair.tenant_id
        )
