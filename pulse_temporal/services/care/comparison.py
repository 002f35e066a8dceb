"""Find where the mirror and Temporal differ; change nothing.

Temporal's lists lag behind, so they only say where to look: what counts is its description of a
single workflow. After that Postgres is read again, because runs go on meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal import contract
from pulse_temporal.config import EngineOptions
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.reconcile import Found, Remedy, Repair
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.services.definitions.schedules import title_of
from pulse_temporal.store import reconcile
from pulse_temporal.store.database import Database
from pulse_temporal.store.reconcile import OpenRun, StandingRun
from pulse_temporal.temporal.executions import (
    Execution,
    listed_schedules,
    look_up,
    open_workflows,
)

AT_ONCE = 16  # calls to Temporal
PAGE = 500
REASON_BYTES = 1_000
SHOWN = 100
CLOSING = timedelta(seconds=3)
"""How long after the end of a run its workflow may still be open: it closes after the run's last
write, so that is not a difference yet."""

# Strict, as anybody may start a workflow under any id, and int() reads more digits than 0 to 9
# (tests/faults/test_reconcile_guards.py::a_workflow_id_that_somebody_made_up_is_only_reported).
RUN_WORKFLOW_ID = re.compile(r"(?P<run_id>run_[0-9a-f]{32})(?::(?P<generation>[1-9][0-9]{0,8}))?")

MISSING: frozenset[Found] = frozenset({"not_found", "never_started"})
"""Findings about runs that Temporal does not know."""

ENDINGS: dict[str, tuple[Remedy, str]] = {
    "terminated": ("fail", "The run's workflow was terminated in Temporal"),
    "timed_out": ("fail", "The run's workflow timed out in Temporal"),
    "failed": ("fail", "The run's workflow failed in Temporal"),
    "canceled": ("cancel", "The run's workflow was canceled in Temporal"),
    "completed": ("restart", "The run's workflow has ended in Temporal, the run has not"),
}


@dataclass(frozen=True, slots=True)
class ComparisonPace:
    """How a worker's turns go through many runs, and when they halt.

    Attributes:
        page: Runs, or open workflows, that are compared at a time.
        turns: Number of turns in which all open runs are compared, however many they are.
        mass_loss: When at least this many runs, and more than a fifth of those checked, are
            missing, a person must decide: this may be the wrong Temporal, in which they would be
            started a second time.
        settled_for: Runs that changed within this time are left out, as they are clearly alive.
    """

    page: int = PAGE
    turns: int = 10
    mass_loss: int = 10
    settled_for: timedelta = timedelta(seconds=30)

    def pages_of_a_turn(self, open_runs: int) -> int:
        """Return how many pages one turn compares, so that ``turns`` turns cover all open runs."""
        return max(1, math.ceil(open_runs / (self.page * self.turns)))


@dataclass(frozen=True, slots=True)
class ComparisonScope:
    """How much one comparison covers; by default everything.

    Attributes:
        after: Id of the run after which it begins; None: with the first.
        listed_before: Only open workflows that started before this time; None: all.
        is_one_page: It covers one page of runs and one of workflows.
        has_runs: It covers open runs.
        has_workflows: It covers open workflows.
        has_schedules: It covers schedules.
        settled_for: Runs that changed within this time are left out, as they are clearly alive.
        page: Runs, or open workflows, that are compared at a time.
    """

    after: str | None = None
    listed_before: datetime | None = None
    is_one_page: bool = False
    has_runs: bool = True
    has_workflows: bool = True
    has_schedules: bool = True
    settled_for: timedelta = timedelta()
    page: int = PAGE


@dataclass(slots=True)
class Differences:
    """The findings of a comparison.

    Attributes:
        checked: Open runs that Temporal was asked about.
        lost: Those of them that Temporal does not know. Runs that have not begun count too: a
            start command is only deleted once Temporal has answered it.
        repairs: The differences, each with its remedy.
        unknown: Ids of open workflows without a run, at most 100.
        problems: What could not be compared.
        next_run: Id of the run after which the next comparison goes on; None: from the first.
        next_listed: ``listed_before`` of the next comparison; None: from the newest.
    """

    checked: int = 0
    lost: int = 0
    repairs: list[Repair] = field(default_factory=list[Repair])
    unknown: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    next_run: str | None = None
    next_listed: datetime | None = None


class Comparison:
    """One comparison of the runs and schedules of a task queue with Temporal."""

    def __init__(
        self, database: Database, options: EngineOptions, client: Client, scope: ComparisonScope
    ) -> None:
        self.database = database
        self.options = options
        self.client = client
        self.scope = scope
        self.found: Differences = Differences(
            next_run=scope.after, next_listed=scope.listed_before
        )
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def make(self) -> Differences:
        """Compare all that is in scope, and return the findings.

        Raises:
            RPCError: Temporal answered for none of the runs on a page.
            PostgresUnavailableError: Postgres does not answer.
        """
        scope = self.scope
        if scope.has_runs:
            async for runs in self._open_runs():
                await self.compare_runs(runs)
        for what, wanted, look in (
            ("workflows", scope.has_workflows, self._left_open),
            ("schedules", scope.has_schedules, self._schedules),
        ):
            try:
                if wanted:
                    await look()
            except RPCError as error:
                self.found.problems.append(f"Temporal did not list {what}: {error}")
        return self.found

    async def _open_runs(self) -> AsyncGenerator[list[OpenRun]]:
        """Yield the open runs to ask about, a page at a time; advance ``found.next_run``."""
        while True:
            async with self.database.session() as session:
                page = await reconcile.open_runs(
                    session,
                    task_queue=self.options.task_queue,
                    after=self.found.next_run,
                    age=self.scope.settled_for,
                    limit=self.scope.page,
                )
            self.found.next_run = page[-1].id if len(page) == self.scope.page else None
            if page:
                yield page
            if self.found.next_run is None or self.scope.is_one_page:
                return

    async def compare_runs(self, runs: Sequence[OpenRun]) -> None:
        """Ask Temporal about runs that were open a moment ago, and note those that differ."""

        async def ask(run: OpenRun) -> Repair | None:
            workflow_id = contract.workflow_id(run.id, run.generation)
            return _difference(run, await self._look_up(workflow_id))

        # With return_exceptions, as one failed call must not discard the answers of the others.
        answers = await asyncio.gather(*(ask(run) for run in runs), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        # A few failed calls are a problem to report; when all fail, Temporal is away.
        for error in errors:
            if not isinstance(error, RPCError) or len(errors) == len(runs):
                raise error
        if errors:
            self.found.problems.append(
                f"Temporal did not say how {len(errors)} runs stand: {errors[0]}"
            )
        found = [answer for answer in answers if isinstance(answer, Repair)]
        # A run may have ended, and its workflow closed, since its page was read: that is no
        # difference (tests/faults/test_reconcile_calm.py).
        now = await self._standing([repair.subject_id for repair in found], age=timedelta())
        kept = [repair for repair in found if _still_stands(repair, now.get(repair.subject_id))]
        self.found.checked += len(runs) - len(errors)
        self.found.lost += sum(repair.found in MISSING for repair in kept)
        self.found.repairs += kept

    async def _left_open(self) -> None:
        """Find open workflows without a run, and those whose run is over or has moved on."""
        while True:
            names, self.found.next_listed = await open_workflows(
                self.client,
                task_queue=self.options.task_queue,
                before=self.found.next_listed,
                limit=self.scope.page,
            )
            await self._compare_workflows(names)
            if self.found.next_listed is None or self.scope.is_one_page:
                return

    async def _compare_workflows(self, names: Sequence[str]) -> None:
        """Note which of these open workflows have no run, or outlive theirs."""
        ours = {name: match for name in names if (match := RUN_WORKFLOW_ID.fullmatch(name))}
        known = await self._standing(
            [match["run_id"] for match in ours.values()],
            age=max(self.scope.settled_for, CLOSING),
        )
        for name in names:
            match = ours.get(name)
            run = known.get(match["run_id"]) if match else None
            if match is None or run is None:
                if len(self.found.unknown) < SHOWN:
                    self.found.unknown.append(scrub_text(name, max_bytes=REASON_BYTES))
                continue
            generation = int(match["generation"] or 1)
            is_over = _is_over(run, generation)
            if not run.is_settled or not (is_over or run.status in TERMINAL_RUN_STATUSES):
                continue
            # The list may be old: still open, and not asked to cancel yet? A workflow that was
            # asked and cannot end, for lack of a worker, would be asked again with every turn.
            execution = await self._look_up(name)
            if execution is not None and execution.has_lost_branch:
                self.found.repairs.append(_waits_in_vain(run, name, generation))
            elif is_over and execution == Execution("open"):
                self.found.repairs.append(_still_open(run, name, generation))

    async def _schedules(self) -> None:
        """Find schedules that differ from their definitions, as far as a list shows it."""
        listed = await listed_schedules(self.client, queue_prefix=self.options.queue_prefix)
        async with self.database.session() as session:
            owners = await reconcile.scheduled(session, task_queue=self.options.task_queue)
        known = {schedule.definition_id: schedule for schedule in listed}
        for owner in owners:
            schedule = known.pop(owner.id, None)
            wanted = (not owner.is_enabled, title_of(owner.cron_expression, owner.timezone))
            if schedule is None or (schedule.is_paused, schedule.note) != wanted:
                self.found.repairs.append(
                    _schedule_repair(owner.id, owner.tenant_id, found="schedule_differs")
                )
        async with self.database.session() as session:
            ended = await reconcile.unscheduled(
                session, list(known), task_queue=self.options.task_queue
            )
        self.found.repairs += [
            _schedule_repair(definition_id, tenant_id, found="schedule_left_over")
            for definition_id, tenant_id in ended.items()
        ]

    async def _look_up(self, workflow_id: str) -> Execution | None:
        async with self._slots:
            return await look_up(self.client, workflow_id, timeout=self.options.temporal_timeout)

    async def _standing(self, run_ids: Sequence[str], *, age: timedelta) -> dict[str, StandingRun]:
        async with self.database.session() as session:
            return await reconcile.standing(session, run_ids, age=age)


def _difference(run: OpenRun, execution: Execution | None) -> Repair | None:
    """Return the repair of a run that is open in Postgres; None when it needs none."""
    found: Found
    if execution is None and run.has_begun:
        found, remedy = "not_found", "restart"
        reason = "The run's workflow is gone from Temporal; it goes on from what is on record"
    elif execution is None:
        found, remedy = "never_started", "start"
        reason = "The run's workflow is not in Temporal, and the run has not begun"
    elif execution.has_lost_branch:
        found, remedy = "branch_lost", "restart"
        reason = (
            "The run's workflow was reset, and waits for a branch that had closed before;"
            " the run goes on from what is on record"
        )
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
    """Return whether a run is as open as it was before Temporal was asked about it."""
    return (
        run is not None
        and run.generation == repair.generation
        and run.status not in TERMINAL_RUN_STATUSES
    )


def _is_over(run: StandingRun, generation: int) -> bool:
    """Return whether an open workflow must be told to end.

    If its run is completed, it is about to close by itself. If its run has failed, it may be a
    reset of that run, which is about to take it up again.
    """
    return run.generation > generation or run.status == "canceled"


def _still_open(run: StandingRun, workflow_id: str, generation: int) -> Repair:
    return Repair(
        subject_id=run.id,
        tenant_id=run.tenant_id,
        generation=generation,
        found="still_open",
        remedy="end_workflow",
        reason=f"The run is {run.status} in generation {run.generation}, but"
        f" its workflow {workflow_id} is open in Temporal.",
    )


def _waits_in_vain(run: StandingRun, workflow_id: str, generation: int) -> Repair:
    return Repair(
        subject_id=run.id,
        tenant_id=run.tenant_id,
        generation=generation,
        found="branch_lost",
        remedy="terminate_workflow",
        reason=f"The run is {run.status} in generation {run.generation}, but its workflow"
        f" {workflow_id} was reset, and waits for a branch that had closed before.",
    )


def _schedule_repair(definition_id: str, tenant_id: str, *, found: Found) -> Repair:
    return Repair(
        subject_id=definition_id,
        tenant_id=tenant_id,
        found=found,
        remedy="sync_schedule",
        reason=f"The schedule of definition {definition_id} in Temporal is not as it should be.",
    )
