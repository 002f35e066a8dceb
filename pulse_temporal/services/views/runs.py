"""Read runs and steps as lists and pages show them: Postgres only."""

from __future__ import annotations

from datetime import datetime

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.run_notices import Surroundings, notices_of
from pulse_temporal.model.runs import Page, StepAttempt
from pulse_temporal.model.segments import AttemptSpan, RunSpan, with_segments
from pulse_temporal.model.steps import Step, walk
from pulse_temporal.model.values import JsonObject
from pulse_temporal.model.view_filters import RunSummaryFilter
from pulse_temporal.model.views import (
    FailureGroup,
    RunCounts,
    RunSummary,
    RunView,
    StepView,
    TemporalPlace,
)
from pulse_temporal.services.definitions.checks import WORKER_SILENCE
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.store import attempts, run_lists, run_views
from pulse_temporal.store.database import Database


class RunViews:
    """Questions that lists and pages ask about runs.

    Everywhere ``tenant_id`` narrows to one tenant: another tenant's rows do not exist then.

    Args:
        database: Where runs are.
        options: Of the engine.
    """

    def __init__(self, database: Database, options: EngineOptions) -> None:
        self.database = database
        self.options = options

    async def list_summaries(
        self, wanted: RunSummaryFilter, *, limit: int, cursor: str | None
    ) -> Page[RunSummary]:
        """Read one page of runs, newest first, in two statements for most filters."""
        check_limit(limit)
        _check_signal_type(wanted)
        after = read_cursor(cursor)
        async with self.database.session() as session:
            places = await run_lists.list_places(session, wanted, after=after, limit=limit + 1)
            shown = places.found[:limit]
            found = await run_views.summaries(
                session, [place.id for place in shown], tenant_id=wanted.tenant_id
            )
        end = shown[-1] if len(places.found) > limit else places.looked_until
        return Page[RunSummary](items=tuple(found), next_cursor=write_cursor(end) if end else None)

    async def count(self, wanted: RunSummaryFilter) -> RunCounts:
        """Count the runs of a list by status and by attention."""
        _check_signal_type(wanted)
        async with self.database.session() as session:
            return await run_lists.count(session, wanted)

    async def failures(
        self, *, tenant_id: str | None, definition_id: str | None, since: datetime | None
    ) -> list[FailureGroup]:
        """Group the newest failed runs by definition, failed step and error."""
        async with self.database.session() as session:
            return await run_lists.failures(
                session, tenant_id=tenant_id, definition_id=definition_id, since=since
            )

    async def view(self, run_id: str, *, tenant_id: str | None) -> RunView | None:
        """Read a run with its steps, in four statements however many steps there are."""
        async with self.database.session() as session:
            facts = await run_views.view(
                session, run_id, tenant_id=tenant_id, silence=WORKER_SILENCE
            )
            if facts is None:
                return None
            known = await run_views.steps(session, run_id, tenant_id=tenant_id)
            spans = await run_views.spans(session, run_id, tenant_id=tenant_id)
            lines = await run_views.log_counts(session, run_id, tenant_id=tenant_id)
        run = facts.summary
        counted = [
            step.model_copy(update={"log_lines": lines[step.id][0], "warnings": lines[step.id][1]})
            if step.id in lines
            else step
            for step in known
        ]
        steps = with_segments(RunSpan(run.started_at, run.ended_at), counted, spans)
        around = Surroundings(
            live_workers=facts.live_workers,
            worker_seen_at=facts.worker_seen_at,
            restarted_at=facts.restarted_at,
            is_foreign=facts.is_foreign,
            blocked_step_timeout=self.options.blocked_step_timeout,
        )
        return RunView(
            run=run,
            steps=steps,
            notices=notices_of(run, steps, around),
            temporal=self._place(run, facts.temporal_run_id),
            definition_version_now=facts.definition_version_now,
            source=facts.source,
            caused_by_run_id=facts.caused_by_run_id,
            depth=facts.depth,
            replay_of_run_id=facts.replay_of_run_id,
            cancel_reason=facts.cancel_reason,
            task_queue=facts.task_queue,
            updated_at=facts.updated_at,
        )

    async def step(
        self, run_id: str, path: str, *, claim: int | None, tenant_id: str | None
    ) -> StepView:
        """Read one step with its result, its attempts, and the lines of one of them.

        Raises:
            NotFoundError: There is no such run or step, or no attempt of that claim.
        """
        async with self.database.session() as session:
            facts = await run_views.step(session, run_id, path, tenant_id=tenant_id)
            if facts is None:
                raise NotFoundError(
                    f"There is no step {cut_repr(path)[:100]} of a run {cut_repr(run_id)[:100]}."
                )
            deliveries = await attempts.list_attempts(
                session, run_id, tenant_id=tenant_id, path=path
            )
            position = _position(deliveries, claim, path=path)
            known = await run_views.steps(session, run_id, tenant_id=tenant_id)
            lines = await run_views.step_logs(
                session, run_id, facts.summary, tenant_id=tenant_id, delivery=position
            )
        others = [step for step in known if step.id != facts.summary.id]
        spans = {facts.summary.id: [_span(each) for each in deliveries]}
        shown = with_segments(facts.run, [facts.summary, *others], spans)
        return StepView(
            step=shown[0],
            config=_config(facts.snapshot, path),
            context_bytes=facts.context_bytes,
            result=facts.result,
            error_message=facts.error_message,
            attempts=tuple(deliveries),
            chosen=deliveries[position - 1] if position else None,
            logs=tuple(lines),
        )

    def _place(self, run: RunSummary, temporal_run_id: str | None) -> TemporalPlace:
        workflow_id = run.id if run.generation == 1 else f"{run.id}:{run.generation}"
        return TemporalPlace(
            namespace=self.options.namespace, workflow_id=workflow_id, run_id=temporal_run_id
        )


def _check_signal_type(wanted: RunSummaryFilter) -> None:
    """Refuse what would have to look at the runs of all tenants."""
    if wanted.signal_type is not None and wanted.tenant_id is None:
        raise InvalidInputError("A list of runs by signal_type needs a tenant_id too.")


def _position(deliveries: list[StepAttempt], claim: int | None, *, path: str) -> int | None:
    """Return the place of an attempt among those of its step, from 1; without a claim, the last.

    Raises:
        NotFoundError: No attempt has this claim.
    """
    if claim is None:
        return len(deliveries) or None
    for position, each in enumerate(deliveries, start=1):
        if each.claim == claim:
            return position
    claims = ", ".join(str(each.claim) for each in deliveries) or "none yet"
    raise NotFoundError(
        f"Step {path} has no attempt with claim {cut_repr(claim)[:100]}; it has: {claims}."
    )


def _span(attempt: StepAttempt) -> AttemptSpan:
    return AttemptSpan(
        claim=attempt.claim,
        attempt=attempt.attempt,
        generation=attempt.generation,
        status=attempt.status,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
    )


def _config(snapshot: DefinitionSnapshot, path: str) -> JsonObject | None:
    """Return what the handler of a step is given as its config."""
    if snapshot.not_understood is not None:
        return None
    step: Step | None = dict(walk(snapshot.steps)).get(path)
    return {**snapshot.config, **((step.config or {}) if step else {})}
