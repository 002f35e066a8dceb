"""Compare the mirror with Temporal, decide whether to act, and repair what differs.

Runs write their own mirror, so a difference means that something happened without them: a
workflow was terminated, timed out or deleted in Temporal, Temporal or Postgres has lost data, or
somebody changed a schedule.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from temporalio.client import Client

from pulse_temporal import contract
from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.model.reconcile import ReconcileReport, Repair
from pulse_temporal.notices import Repeats
from pulse_temporal.services.care.comparison import (
    SHOWN,
    Comparison,
    ComparisonPace,
    ComparisonScope,
    Differences,
)
from pulse_temporal.services.care.repairs import Repairs
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import reconcile
from pulse_temporal.store.database import Database
from pulse_temporal.store.reconcile import ReconcilerState
from pulse_temporal.temporal.executions import look_up, namespace_id, temporal_answers
from pulse_temporal.temporal.workflows import terminate_run

log: logging.Logger = logging.getLogger(__name__)

REPAIRS_AT_ONCE = 4
MOST_COUNTED = 1_000_000
MASS_LOSS_SHARE = 0.2
PACE = ComparisonPace()

CONFIRM = (
    "If it is, and its data is lost, reconcile with confirm=True (pulse reconcile --confirm): "
    "the runs are started anew from what is on record."
)


class Reconciler:
    """Compares the runs and schedules of one task queue with Temporal."""

    def __init__(
        self,
        database: Database,
        observers: Observers,
        options: EngineOptions,
        *,
        clock: Clock,
        pace: ComparisonPace = PACE,
    ) -> None:
        self.database = database
        self.options = options
        self.clock = clock
        self.pace = pace
        self.repairs: Repairs = Repairs(database, observers, options, clock=clock)
        self._repeats = Repeats()

    async def compare(
        self, client: Client, *, dry_run: bool = False, confirm: bool = False
    ) -> ReconcileReport:
        """Compare everything; see ``Engine.reconcile``."""
        before = await self._state()
        report, state = await self._compare(
            client, self._everything(), before, dry_run=dry_run, confirm=confirm
        )
        if not dry_run:
            await self._keep(
                ReconcilerState(
                    namespace_id=state.namespace_id,
                    position=before.position,
                    listed_before=before.listed_before,
                    report=report,
                )
            )
        return report

    async def turn(self, client: Client) -> ReconcileReport | None:
        """Compare the next pages of runs if a turn is due and no other worker has taken it.

        As many pages as make all runs compared after ``pace.turns`` turns, but no more than fit
        into half of the time until the next turn. A page that halts the reconciler ends the turn.

        Returns:
            One report for all pages; None when no turn was due here.
        """
        async with self.database.session() as session:
            is_due = await reconcile.take_turn(
                session,
                task_queue=self.options.task_queue,
                pause=self.options.reconcile_interval,
            )
        if not is_due:
            return None
        clock = asyncio.get_running_loop().time
        until = clock() + self.options.reconcile_interval.total_seconds() / 2
        scope = self._page(state := await self._state())
        reports: list[ReconcileReport] = []
        for _ in range(self.pace.pages_of_a_turn(await self._open_runs())):
            report, state = await self._compare(client, scope, state)
            reports.append(report)
            report = _together(reports)
            # After each page: a worker that dies in its turn must not make the next one start
            # over.
            await self._keep(replace(state, report=report))
            scope = _next_page(scope, state)
            if report.halted or clock() > until or not (scope.has_runs or scope.has_workflows):
                break
        return _together(reports)

    async def glance(self, client: Client) -> ReconcileReport:
        """Compare the first page of runs; repair nothing, and leave the workers' turns alone."""
        before = await self._state()
        scope = replace(self._everything(), is_one_page=True, settled_for=self.pace.settled_for)
        report, _ = await self._compare(client, scope, before, dry_run=True)
        return report

    async def _state(self) -> ReconcilerState:
        async with self.database.session() as session:
            return await reconcile.state(session, task_queue=self.options.task_queue)

    async def _open_runs(self) -> int:
        async with self.database.session() as session:
            return await reconcile.count_open(session, limit=MOST_COUNTED)

    async def _keep(self, state: ReconcilerState) -> None:
        """Store the position and the report, cut to its first 100 repairs."""
        report = state.report
        if report is not None:
            report = report.model_copy(update={"repairs": report.repairs[:SHOWN]})
        kept = ReconcilerState(state.namespace_id, state.position, state.listed_before, report)
        async with self.database.session() as session:
            await reconcile.note(session, kept, task_queue=self.options.task_queue)

    async def _compare(
        self,
        client: Client,
        scope: ComparisonScope,
        before: ReconcilerState,
        *,
        dry_run: bool = False,
        confirm: bool = False,
    ) -> tuple[ReconcileReport, ReconcilerState]:
        """Make one comparison, repair unless it halts, and return the report and the new state.

        A halted comparison keeps the old state: the same page is compared again next time, and a
        new namespace stays unaccepted.
        """
        with temporal_answers():
            namespace = await namespace_id(client, timeout=self.options.temporal_timeout)
            moved = before.namespace_id not in (None, namespace)
            # A namespace that changed is accepted only if all runs are in it. So everything is
            # compared: a single page of the wrong Temporal might happen to have no runs.
            looked = self._everything() if moved and not dry_run else scope
            found = await Comparison(self.database, self.options, client, looked).make()
        halted = None if confirm else self._reason_to_halt(found, moved=moved)
        repairs, problems = found.repairs, found.problems
        if halted is not None:
            if self._repeats.is_due(f"halted {looked.is_one_page}"):
                log.error("The reconciler has stopped and repairs nothing: %s", halted)
        elif not dry_run:
            repairs, failed = await self._repair_all(client, found.repairs)
            problems = [*problems, *failed]
        report = ReconcileReport(
            at=self.clock(),
            checked=found.checked,
            repairs=tuple(repairs),
            applied=halted is None and not dry_run,
            halted=halted,
            unknown_workflows=tuple(found.unknown),
            problems=tuple(problems[:SHOWN]),
            differences=len(found.repairs),
        )
        if halted is not None:
            return report, ReconcilerState(
                before.namespace_id, before.position, before.listed_before, report
            )
        return report, ReconcilerState(namespace, found.next_run, found.next_listed, report)

    async def _repair_all(
        self, client: Client, repairs: list[Repair]
    ) -> tuple[list[Repair], list[str]]:
        """Apply remedies, four at a time; return those that were applied, and what failed.

        One that fails does not keep the others from being made; it is found again next time.
        """
        slots = asyncio.Semaphore(REPAIRS_AT_ONCE)

        async def apply(repair: Repair) -> Repair | None:
            async with slots:
                is_left_over = repair.remedy == "terminate_workflow"
                if is_left_over and not await self._terminate(client, repair):
                    return None
                return await self.repairs.apply(repair)

        answers = await asyncio.gather(
            *(apply(repair) for repair in repairs), return_exceptions=True
        )
        made: list[Repair] = []
        failed: list[str] = []
        for repair, answer in zip(repairs, answers, strict=True):
            if isinstance(answer, Exception):
                self._tell_of_failure(repair, answer)
                failed.append(f"{repair.subject_id} was not repaired: {answer}")
            elif isinstance(answer, BaseException):
                raise answer
            elif answer is not None:
                made.append(answer)
                facts = {
                    "subject_id": answer.subject_id,
                    "remedy": answer.remedy,
                    "reason": answer.reason,
                }
                log.warning(
                    "Repaired %(subject_id)s with %(remedy)s: %(reason)s", facts, extra=facts
                )
        return made, failed

    async def _terminate(self, client: Client, repair: Repair) -> bool:
        """Terminate a workflow that waits in vain, and whose run is over; return whether it did.

        Not by a command in the outbox, as a cancel: workers of before would not know it.
        """
        workflow_id = contract.workflow_id(repair.subject_id, repair.generation)
        timeout = self.options.temporal_timeout
        with temporal_answers():
            # Somebody may have reset it once more since it was compared.
            execution = await look_up(client, workflow_id, timeout=timeout)
            if execution is None or not execution.has_lost_branch:
                return False
            await terminate_run(client, workflow_id, reason=repair.reason, timeout=timeout)
        return True

    def _tell_of_failure(self, repair: Repair, error: Exception) -> None:
        """Log a repair that failed; the same cause only after growing pauses."""
        facts = {
            "subject_id": repair.subject_id,
            "remedy": repair.remedy,
            "error": str(error) or type(error).__name__,
        }
        if self._repeats.is_due(f"{error!r}"):
            log.warning(
                "The repair of %(subject_id)s with %(remedy)s failed and comes again: %(error)s",
                facts,
                extra=facts,
                exc_info=error,
            )

    def _everything(self) -> ComparisonScope:
        """Return the scope of a comparison of all runs, workflows and schedules."""
        return ComparisonScope(page=self.pace.page)

    def _page(self, before: ReconcilerState) -> ComparisonScope:
        """Return the scope of the first page of a worker's turn: where the last turn ended."""
        return replace(
            self._everything(),
            after=before.position,
            listed_before=before.listed_before,
            is_one_page=True,
            settled_for=self.pace.settled_for,
        )

    def _reason_to_halt(self, found: Differences, *, moved: bool) -> str | None:
        """Return why a person must decide before anything is repaired; None when nobody need."""
        missing = f"{found.lost} of {found.checked} open runs are not in Temporal"
        if found.lost and moved:
            return (
                f"{missing}, and its namespace is another one than before. Is this the right "
                f"Temporal? {CONFIRM}"
            )
        if found.lost >= self.pace.mass_loss and found.lost > MASS_LOSS_SHARE * found.checked:
            return f"{missing}. Is this the right Temporal and namespace? {CONFIRM}"
        return None


def _next_page(scope: ComparisonScope, state: ReconcilerState) -> ComparisonScope:
    """Return the scope of the next page in the same turn.

    Schedules are compared once a turn. Runs or workflows that have come to their end are not
    begun anew within it.
    """
    return replace(
        scope,
        after=state.position,
        listed_before=state.listed_before,
        has_runs=scope.has_runs and state.position is not None,
        has_workflows=scope.has_workflows and state.listed_before is not None,
        has_schedules=False,
    )


def _together(reports: list[ReconcileReport]) -> ReconcileReport:
    """Return one report for the pages of a turn; ``halted`` and ``at`` are those of the last."""
    last = reports[-1]
    return last.model_copy(
        update={
            "checked": sum(report.checked for report in reports),
            "repairs": tuple(repair for report in reports for repair in report.repairs),
            "unknown_workflows": tuple(
                name for report in reports for name in report.unknown_workflows
            )[:SHOWN],
            "problems": tuple(text for report in reports for text in report.problems)[:SHOWN],
            "differences": sum(report.differences for report in reports),
        }
    )
