"""Runs: lists, all about one of them, and what can be done about it."""

from __future__ import annotations

from starlette.responses import Response

from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.paths import parse_path
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES, WorkflowRun
from pulse_temporal.model.view_filters import RunSummaryFilterFields
from pulse_temporal.model.views import RunCounts, RunView, StepView
from pulse_temporal.web.api.asking import Ask, Reason, found_or_404
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.shapes import (
    AttemptList,
    AttemptsQuery,
    FailureList,
    FailuresQuery,
    LogList,
    LogsQuery,
    RunPage,
    RunPageQuery,
    RunsQuery,
    StepList,
    StepQuery,
    Timeline,
)

NOT_MODIFIED = 304
REASON: dict[str, object] = {"reason": "The customer has called"}

routes = Routes("runs")


def run_filter(wanted: RunsQuery) -> RunSummaryFilterFields:
    """Return the filter of a list of runs, as the engine takes it."""
    fields: RunSummaryFilterFields = {
        "status": wanted.status,
        "attention": wanted.attention,
        "definition_id": wanted.definition_id,
        "trigger_id": wanted.signal_id,
        "signal_type": wanted.signal_type,
        "resource_id": wanted.resource_id,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }
    return fields


@routes.add("GET", "/runs", scope="runs:read", gives=RunPage, query=RunPageQuery)
async def list_(call: Ask) -> Response:
    """Return one page of runs, newest first, without context and steps.

    Go on until `nextCursor` is null, not until a page is short.
    """
    wanted = call.query(RunPageQuery)
    page = await call.engine.runs.list_summaries(
        limit=wanted.limit, cursor=wanted.cursor, **run_filter(wanted)
    )
    return call.page(page)


@routes.add("GET", "/runs/counts", scope="runs:read", gives=RunCounts, query=RunsQuery)
async def counts(call: Ask) -> Response:
    """Count runs by status and by attention, each up to 10 000."""
    return call.answer(await call.engine.runs.count(**run_filter(call.query(RunsQuery))))


@routes.add("GET", "/failures", scope="runs:read", gives=FailureList, query=FailuresQuery)
async def failures(call: Ask) -> Response:
    """Return the newest 1 000 failed runs, grouped by definition, failed step and error."""
    wanted = call.query(FailuresQuery)
    found = await call.engine.runs.failures(
        definition_id=wanted.definition_id, created_after=wanted.created_after
    )
    return call.items(found)


@routes.add("GET", "/runs/{run_id}", scope="runs:read", gives=WorkflowRun, also=(NOT_MODIFIED,))
async def get(call: Ask, run_id: str) -> Response:
    """Return a run with its context and the definition that it has frozen.

    A run that is over has an `ETag`; with `If-None-Match` it is sent once.
    """
    run = found_or_404(await call.engine.runs.get(run_id))
    if run.status not in TERMINAL_RUN_STATUSES:
        return call.answer(run)
    tag = f'"{run.generation}-{run.updated_at.timestamp():.6f}"'
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=NOT_MODIFIED, headers={"etag": tag})
    return call.answer(run, headers={"etag": tag})


@routes.add("GET", "/runs/{run_id}/view", scope="runs:read", gives=RunView)
async def view(call: Ask, run_id: str) -> Response:
    """Return a run with its steps and what to know about it, without context and results."""
    return call.answer(found_or_404(await call.engine.runs.view(run_id)))


@routes.add("GET", "/runs/{run_id}/snapshot", scope="definitions:read", gives=DefinitionSnapshot)
async def snapshot(call: Ask, run_id: str) -> Response:
    """Return the definition as the run has frozen it."""
    return call.answer(await call.engine.runs.snapshot(run_id))


@routes.add("GET", "/runs/{run_id}/steps", scope="runs:read", gives=StepList)
async def steps(call: Ask, run_id: str) -> Response:
    """Return the steps of a run, without their results."""
    return call.items(found_or_404(await call.engine.runs.view(run_id)).steps)


@routes.add(
    "GET", "/runs/{run_id}/steps/{path:path}", scope="runs:read", gives=StepView, query=StepQuery
)
async def step(call: Ask, run_id: str, path: str) -> Response:
    """Return one step with its result, its config, its attempts and its log.

    The path is that of the step, such as `2/b0/1`.
    """
    try:
        place = parse_path(path)
    except ValueError as error:
        raise NotFoundError("There is no such step.") from error
    claim = call.query(StepQuery).claim
    return call.answer(await call.engine.runs.step(run_id, place, claim=claim))


@routes.add(
    "GET", "/runs/{run_id}/attempts", scope="runs:read", gives=AttemptList, query=AttemptsQuery
)
async def attempts(call: Ask, run_id: str) -> Response:
    """Return the attempts of a run's steps with their tracebacks."""
    wanted = call.query(AttemptsQuery)
    return call.items(await call.engine.runs.attempts(run_id, wanted.path))


@routes.add("GET", "/runs/{run_id}/timeline", scope="runs:read", gives=Timeline)
async def timeline(call: Ask, run_id: str) -> Response:
    """Return what happened to a run, in order."""
    return call.items(await call.engine.runs.timeline(run_id))


@routes.add("GET", "/runs/{run_id}/logs", scope="runs:read", gives=LogList, query=LogsQuery)
async def logs(call: Ask, run_id: str) -> Response:
    """Return the lines that handlers wrote, in order."""
    wanted = call.query(LogsQuery)
    return call.items(await call.engine.runs.logs(run_id, levels=wanted.level))


@routes.add(
    "POST",
    "/runs/{run_id}/cancel",
    scope="runs:act",
    gives=WorkflowRun,
    body=Reason,
    example=REASON,
)
async def cancel(call: Ask, run_id: str) -> Response:
    """Cancel a run, for good, also while Temporal is away."""
    reason = (await call.body(Reason)).reason
    return call.answer(await call.tenant.runs.cancel(run_id, reason))


@routes.add(
    "POST",
    "/runs/{run_id}/retry",
    scope="runs:act",
    gives=WorkflowRun,
    body=Reason,
    example=REASON,
)
async def retry(call: Ask, run_id: str) -> Response:
    """Retry a failed run from the step that failed; what completed is kept."""
    reason = (await call.body(Reason)).reason
    return call.answer(await call.tenant.runs.retry(run_id, reason=reason))
