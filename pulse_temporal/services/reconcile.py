"""Compare the mirror with Temporal and repair what differs.

Runs write their own mirror, so a difference means that something was done behind their back: a
workflow terminated, timed out or deleted in Temporal, a Temporal or a Postgres that lost data,
a schedule that somebody changed. Lists only say where to look; ``describe`` decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client

from pulse_temporal import contract
from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import PulseError
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.reconcile import Found, ReconcileReport, Remedy, Repair
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.services.executions import (
    Execution,
    listed_schedules,
    look_up,
    namespace_id,
    open_workflows,
    temporal_answers,
)
from pulse_temporal.services.observers import Observers
from pulse_temporal.services.repairs import Repairs
from pulse_temporal.services.schedules import title_of
from pulse_temporal.store import reconcile
from pulse_temporal.store.database import Database
from pulse_temporal.store.reconcile import OpenRun, ReconcilerState, StandingRun

log = logging.getLogger(__name__)

AT_ONCE = 16
PAGE = 500
MASS_LOSS = 10
MASS_LOSS_SHARE = 0.2
REASON_BYTES = 1_000
SHOWN_UNKNOWN = 100
SETTLED = timedelta(seconds=30)
"""In a worker's turn, runs that have changed since are left out: they are plainly alive."""

CLOSING = timedelta(seconds=3)
"""A run is over a moment before its workflow is; in that moment nothing is wrong."""

ENDINGS: dict[str, tuple[Remedy, str]] = {
    "terminated": ("fail", "The run's workflow was terminated in Temporal"),
    "timed_out": ("fail", "The run's workflow timed out in Temporal"),
    "failed": ("fail", "The run's workflow failed in Temporal"),
    "canceled": ("cancel", "The run's workflow was canceled in Temporal"),
    "completed": ("restart", "The run's workflow has ended in Temporal, the run has not"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """How much one comparison looks at: everything, or a worker's turn."""

    after: str | None = None
    runs: int | None = None
    settled_for: timedelta = timedelta()


class Reconciler:
    """Compares the runs and schedules of one task queue with Temporal."""

    def __init__(
        self, database: Database, observers: Observers, options: EngineOptions, *, clock: Clock
    ) -> None:
        self.database = database
        self.options = options
        self.clock = clock
        self.repairs = Repairs(database, observers, options, clock=clock)

    async def compare(
        self, client: Client, *, dry_run: bool = False, confirm: bool = False
    ) -> ReconcileReport:
        """Compare everything; see ``Engine.reconcile``."""
        async with self.database.session() as session:
            before = await reconcile.state(session, task_queue=self.options.task_queue)
        report, state = await self._compare(
            client, Scope(), before, dry_run=dry_run, confirm=confirm
        )
        if not dry_run:
            await self._keep(ReconcilerState(state.namespace_id, before.position, report))
        return report

    async def turn(self, client: Client) -> ReconcileReport | None:
        """Compare one page of runs when it is due; None when it is not, or another does."""
        queue = self.options.task_queue
        async with self.database.session() as session:
            if not await reconcile.take_turn(
                session, task_queue=queue, pause=self.options.reconcile_interval
            ):
                return None
            before = await reconcile.state(session, task_queue=queue)
        scope = Scope(after=before.position, runs=PAGE, settled_for=SETTLED)
        report, state = await self._compare(client, scope, before)
        await self._keep(state)
        return report

    async def glance(self, client: Client) -> ReconcileReport:
        """Compare the oldest page of runs and repair nothing; takes no worker's turn."""
        async with self.database.session() as session:
            before = await reconcile.state(session, task_queue=self.options.task_queue)
        scope = Scope(runs=PAGE, settled_for=SETTLED)
        report, _ = await self._compare(client, scope, before, dry_run=True)
        return report

    async def _keep(self, state: ReconcilerState) -> None:
        async with self.database.session() as session:
            await reconcile.note(session, state, task_queue=self.options.task_queue)

    async def _compare(
        self,
        client: Client,
        scope: Scope,
        before: ReconcilerState,
        *,
        dry_run: bool = False,
        confirm: bool = False,
    ) -> tuple[ReconcileReport, ReconcilerState]:
        with temporal_answers():
            namespace = await namespace_id(client, patience=self.options.temporal_timeout)
            runs, position = await self._open_runs(scope)
            found = await self._differences(client, runs)
            unknown, left_open = await self._left_open(client, scope)
            schedules = await self._schedules(client)
        moved = before.namespace_id not in (None, namespace)
        halted = None if confirm else _reason_to_halt(runs, found, moved=moved)
        wanted = [*found, *left_open, *schedules]
        if halted is None and not dry_run:
            made = [await self._repair(repair) for repair in wanted]
            wanted = [repair for repair in made if repair is not None]
        if halted is not None:
            log.error("the reconciler has stopped: %s", halted)
        report = ReconcileReport(
            at=self.clock(),
            checked=len(runs),
            repairs=tuple(wanted),
            applied=halted is None and not dry_run,
            halted=halted,
            unknown_workflows=tuple(unknown[:SHOWN_UNKNOWN]),
        )
        known = before.namespace_id if halted and moved else namespace
        return report, ReconcilerState(known, before.position if halted else position, report)

    async def _repair(self, repair: Repair) -> Repair | None:
        try:
            made = await self.repairs.apply(repair)
        except PulseError as error:
            log.warning("a repair failed and comes again", extra={"error": str(error)})
            return None
        if made is not None:
            log.warning(
                "repaired: %s",
                made.reason,
                extra={"subject_id": made.subject_id, "remedy": made.remedy},
            )
        return made

    async def _open_runs(self, scope: Scope) -> tuple[list[OpenRun], str | None]:
        """Read the runs to ask about, and after which one the next turn goes on."""
        found: list[OpenRun] = []
        after = scope.after
        async with self.database.session() as session:
            while True:
                page = await reconcile.open_runs(
                    session,
                    task_queue=self.options.task_queue,
                    after=after,
                    age=scope.settled_for,
                    limit=PAGE,
                )
                found += page
                after = page[-1].id if len(page) == PAGE else None
                if after is None or (scope.runs is not None and len(found) >= scope.runs):
                    return found, after

    async def _differences(self, client: Client, runs: Sequence[OpenRun]) -> list[Repair]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def ask(run: OpenRun) -> Repair | None:
            async with slots:
                execution = await look_up(
                    client,
                    contract.workflow_id(run.id, run.generation),
                    patience=self.options.temporal_timeout,
                )
            return _difference(run, execution)

        answers = await asyncio.gather(*(ask(run) for run in runs))
        found = [answer for answer in answers if answer is not None]
        async with self.database.session() as session:
            now = await reconcile.standing(
                session, [repair.subject_id for repair in found], age=timedelta()
            )
        return [repair for repair in found if _still_stands(repair, now.get(repair.subject_id))]

    async def _left_open(self, client: Client, scope: Scope) -> tuple[list[str], list[Repair]]:
        """Find open workflows without a run, and those whose run is over or has moved on."""
        listed = await open_workflows(client, task_queue=self.options.task_queue, limit=scope.runs)
        names = {workflow_id: _run_of(workflow_id) for workflow_id in listed}
        async with self.database.session() as session:
            known = await reconcile.standing(
                session,
                [run_id for run_id, _ in names.values()],
                age=max(scope.settled_for, CLOSING),
            )
        unknown = [name for name, (run_id, _) in names.items() if run_id not in known]
        repairs: list[Repair] = []
        for workflow_id, (run_id, generation) in names.items():
            run = known.get(run_id)
            if run is None or not run.is_settled or not _is_over(run, generation):
                continue
            execution = await look_up(client, workflow_id, patience=self.options.temporal_timeout)
            if execution == Execution("open"):  # and has not been asked to end
                repairs.append(
                    Repair(
                        subject_id=run.id,
                        tenant_id=run.tenant_id,
                        generation=generation,
                        found="still_open",
                        remedy="end_workflow",
                        reason=f"The run is {run.status} in generation {run.generation}, but"
                        f" its workflow {workflow_id} is open in Temporal.",
                    )
                )
        return unknown, repairs

    async def _schedules(self, client: Client) -> list[Repair]:
        """Find schedules that differ from their definitions, as far as a list shows it."""
        listed = await listed_schedules(client, queue_prefix=self.options.queue_prefix)
        async with self.database.session() as session:
            owners = await reconcile.scheduled(session, task_queue=self.options.task_queue)
        known = {schedule.definition_id: schedule for schedule in listed}
        repairs: list[Repair] = []
        for owner in owners:
            schedule = known.pop(owner.id, None)
            wanted = (not owner.is_enabled, title_of(owner.cron_expression, owner.timezone))
            if schedule is not None and (schedule.is_paused, schedule.note) == wanted:
                continue
            repairs.append(_schedule_repair(owner.id, owner.tenant_id, found="schedule_differs"))
        repairs += [
            _schedule_repair(definition_id, "", found="schedule_left_over")
            for definition_id in known
        ]
        return repairs


def _difference(run: OpenRun, execution: Execution | None) -> Repair | None:
    """Say what is wrong with a run that is open in Postgres; None: nothing is."""
    found: Found
    if execution is None and run.has_begun:
        found, remedy = "not_found", "restart"
        reason = "The run's workflow is gone from Temporal; it goes on from what is on record"
    elif execution is None:
        found, remedy, reason = "never_started", "start", "The run's workflow was never started"
    elif execution.state == "open":
        return None
    else:
        found = execution.state
        remedy, reason = ENDINGS[found]
        reason += f": {execution.reason}" if execution.reason else ""
    return Repair(
        subject_id=run.id,
        tenant_id=run.tenant_id,
        generation=run.generation,
        found=found,
        remedy=remedy,
        reason=scrub_text(f"{reason}.", max_bytes=REASON_BYTES),
    )


def _still_stands(repair: Repair, run: StandingRun | None) -> bool:
    """Say whether a run has not moved on while Temporal was asked about it."""
    return (
        run is not None
        and run.generation == repair.generation
        and run.status not in TERMINAL_RUN_STATUSES
    )


def _schedule_repair(definition_id: str, tenant_id: str, *, found: Found) -> Repair:
    return Repair(
        subject_id=definition_id,
        tenant_id=tenant_id,
        found=found,
        remedy="sync_schedule",
        reason=f"The schedule of definition {definition_id} in Temporal is not as it should be.",
    )


def _is_over(run: StandingRun, generation: int) -> bool:
    """Say whether an open workflow must be told to end.

    One whose run is completed is about to close by itself, and one whose run has failed may be
    a reset that is about to speak.
    """
    return run.generation > generation or run.status == "canceled"


def _run_of(workflow_id: str) -> tuple[str, int]:
    run_id, _, generation = workflow_id.partition(":")
    return run_id, int(generation) if generation.isdigit() else 1


def _reason_to_halt(
    runs: Sequence[OpenRun], found: Sequence[Repair], *, moved: bool
) -> str | None:
    """Say why a person should look first: this may be the wrong Temporal."""
    lost = sum(repair.found == "not_found" for repair in found)
    if lost and moved:
        return (
            f"{lost} of {len(runs)} open runs are not in Temporal, and its namespace is another "
            "one than before. Is this the right Temporal? If it is, and its data is lost, "
            "reconcile with confirm=True (pulse reconcile --confirm): the runs are started anew "
            "from what is on record."
        )
    if lost >= MASS_LOSS and lost > MASS_LOSS_SHARE * len(runs):
        return (
            f"{lost} of {len(runs)} open runs are not in Temporal. Is this the right Temporal and "
            "namespace? If it is, and its data is lost, reconcile with confirm=True (pulse "
            "reconcile --confirm): the runs are started anew from what is on record."
        )
    return None
