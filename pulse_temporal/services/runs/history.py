"""Read runs, steps, triggers, logs and timelines: Postgres only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import (
    ExecutionLog,
    LogLevel,
    Page,
    RunFilter,
    StepAttempt,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.timeline import RunTimelineEntry, TimelineEvent, build_timeline
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.pages import check_limit, page_of_runs, read_cursor
from pulse_temporal.store import attempts, runs, steps, timeline, triggers
from pulse_temporal.store.database import Database


class History:
    """Questions about the past and the present of runs.

    Everywhere ``tenant_id`` narrows to one tenant: another tenant's rows do not exist then. What
    belongs to a run is asked of a run that exists, else it raises ``NotFoundError``.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get_run(self, run_id: str, *, tenant_id: str | None) -> WorkflowRun | None:
        """Read a run."""
        async with self.database.session() as session:
            return await runs.get_run(session, run_id, tenant_id=tenant_id)

    async def get_snapshot(self, run_id: str, *, tenant_id: str | None) -> DefinitionSnapshot:
        """Read the definition that a run has frozen."""
        async with self.database.session() as session:
            found = await runs.get_snapshot(session, run_id, tenant_id=tenant_id)
        if found is None:
            raise NotFoundError(f"There is no run {cut_repr(run_id)[:100]}.")
        return found

    async def get_run_steps(self, run_id: str, *, tenant_id: str | None) -> list[WorkflowStepRun]:
        """Read the step runs of a run, in document order."""
        async with self.database.session() as session:
            found = await steps.list_steps(session, run_id, tenant_id=tenant_id)
            if not found:
                await _require(session, run_id, tenant_id=tenant_id)
        return found

    async def get_step_attempts(
        self, run_id: str, *, path: str | None, tenant_id: str | None
    ) -> list[StepAttempt]:
        """Read the attempts of a run or of one of its steps."""
        async with self.database.session() as session:
            found = await attempts.list_attempts(session, run_id, tenant_id=tenant_id, path=path)
            if not found:
                await _require(session, run_id, tenant_id=tenant_id)
        return found

    async def get_trigger(
        self, trigger_id: str, *, tenant_id: str | None
    ) -> TriggerEnvelope | None:
        """Read a stored signal."""
        async with self.database.session() as session:
            return await triggers.get_trigger(session, trigger_id, tenant_id=tenant_id)

    async def list_runs(
        self, wanted: RunFilter, *, limit: int, cursor: str | None
    ) -> Page[WorkflowRun]:
        """Read one page of runs, newest first; it ends early where its runs are heavy."""
        check_limit(limit)
        async with self.database.session() as session:
            places = await runs.list_places(
                session, wanted, after=read_cursor(cursor), limit=limit + 1
            )
            found = await runs.read_runs(session, [place.id for place in places[:limit]])
        return page_of_runs(found, places, limit=limit)

    async def read_runs(self, run_ids: Sequence[str]) -> list[WorkflowRun]:
        """Read runs in this order."""
        found: list[WorkflowRun] = []
        async with self.database.session() as session:
            while len(found) < len(run_ids):
                more = await runs.read_runs(session, run_ids[len(found) :])
                if not more:
                    break
                found += more
        return found

    async def get_run_timeline(
        self, run_id: str, *, tenant_id: str | None
    ) -> list[RunTimelineEntry]:
        """Read what happened to a run, in order."""
        async with self.database.session() as session:
            run = await runs.get_run(session, run_id, tenant_id=tenant_id)
            if run is None:
                raise _unknown(run_id)
            known = await steps.list_steps(session, run_id, tenant_id=tenant_id)
            events = await timeline.events(session, run_id, tenant_id=tenant_id)
            lines = await timeline.logs(session, run_id, tenant_id=tenant_id)
        return build_timeline([_created(run), *events], known, lines)

    async def get_run_logs(
        self, run_id: str, *, tenant_id: str | None, levels: Collection[LogLevel] | None
    ) -> list[ExecutionLog]:
        """Read the lines that a run's handlers have written, in order."""
        async with self.database.session() as session:
            found = await timeline.logs(session, run_id, tenant_id=tenant_id, levels=levels)
            if not found:
                await _require(session, run_id, tenant_id=tenant_id)
        return found


async def _require(session: Session, run_id: str, *, tenant_id: str | None) -> None:
    """Refuse an id that is mistyped: it must not look like a run on which nothing happened yet.

    Raises:
        NotFoundError: There is no such run.
    """
    known = await runs.statuses(session, [run_id])
    if not any(tenant_id in (None, run.tenant_id) for run in known):
        raise _unknown(run_id)


def _unknown(run_id: object) -> NotFoundError:
    return NotFoundError(f"There is no run {cut_repr(run_id)[:100]}.")


def _created(run: WorkflowRun) -> TimelineEvent:
    """Tell the beginning, which is stored in the run itself."""
    return TimelineEvent(
        seq=-1,
        kind="run_created",
        at=run.created_at,
        detail={
            "definition": run.definition_snapshot.name,
            "definitionId": run.definition_id,
            "triggerId": run.trigger_id,
        },
    )
