"""``pulse runs list``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import Pulse, tenant_of, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.moments import read_moment, took
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output, shorten
from pulse_temporal.cli.paging import DEFAULT_LIMIT, Limit, page_data, tell_count
from pulse_temporal.cli.statuses import status_cell
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.model.runs import (
    Page,
    RunStatus,
)
from pulse_temporal.model.views import Attention, RunSummary

RUN_COLUMNS = (
    Column(title="STATUS"),
    Column(title="RUN"),
    Column(title="TENANT"),
    Column(title="DEFINITION", is_flexible=True),
    Column(title="ABOUT", is_flexible=True),
    Column(title="STEP", is_flexible=True),
    Column(title="CREATED"),
    Column(title="TOOK", is_number=True),
)


def list_runs(  # noqa: PLR0913 - filters of a list, each by name
    *,
    status: Annotated[list[RunStatus] | None, Parameter(negative=())] = None,
    attention: Attention | None = None,
    definition: str | None = None,
    signal: str | None = None,
    resource: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List runs, newest first.

    Parameters
    ----------
    status:
        Only runs of this status; may be given several times.

    Attention:
        Only open runs that are retrying, blocked, or late: that no worker has taken for long.
    definition:
        Only runs of the definition with this id.
    signal:
        Only runs of the signal with this id, and of its replays.
    resource:
        Only runs about the resource with this id.
    since:
        Only runs created since then: 30m, 2h, 1d (ago), or a date and time.
    until:
        Only runs created before then.
    limit:
        Runs at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)

    def moment(text: str | None, option: str) -> datetime | None:
        return (text and read_moment(text, option=option, now=out.now, utc=options.utc)) or None

    after, before = moment(since, "--since"), moment(until, "--until")

    async def read(pulse: Pulse) -> Page[RunSummary]:
        return await pulse.runs.list_summaries(
            status=status or None,
            attention=attention,
            definition_id=definition and await full_id(pulse, definition, "definition"),
            trigger_id=signal and await full_id(pulse, signal, "signal"),
            resource_id=resource,
            created_after=after,
            created_before=before,
            limit=limit,
            cursor=cursor,
        )

    page = with_pulse(options, read)
    if page_data(out, page):
        return Exit.OK
    out.table(RUN_COLUMNS, [_run_cells(out, run) for run in page.items])
    is_filtered = any((status, attention, definition, signal, resource, since, until))
    hint = "Look without filters, or start one: pulse emit TYPE" if is_filtered else ""
    if page.items:
        hint = f"Look: pulse runs show {page.items[0].id}"
    tell_count(out, page, "run", hint=hint or "Start one: pulse emit TYPE")
    return Exit.OK


def _run_cells(out: Output, run: RunSummary) -> list[Cell]:
    length = "" if run.duration_ms is None else took(timedelta(milliseconds=run.duration_ms))
    about = "/".join(part for part in (run.resource_type, run.resource_id) if part)
    return [
        _summary_status(run),
        Cell(run.id),
        Cell("" if tenant_of(out.options) == run.tenant_id else run.tenant_id),
        Cell(run.definition_name),
        Cell(about),
        Cell(shorten(_where(out, run)), "dim"),
        Cell(out.moment(run.created_at)),
        Cell(length),
    ]


def _summary_status(run: RunSummary) -> Cell:
    step = run.current_step
    if run.attention == "retrying" and step is not None:
        return status_cell("retrying", f"{step.attempt}/{step.max_attempts}")
    return status_cell("blocked") if run.attention == "blocked" else status_cell(run.status)


def _where(out: Output, run: RunSummary) -> str:
    """Return the step that says why a run stands where it stands, and what it waits for."""
    step = run.current_step
    if step is None:
        return run.error_message or ""
    if step.blocked_reason:
        return f"{step.name}: {step.blocked_reason}"
    if run.status == "failed":
        return f"{step.name}: {run.error_message or step.error_message or ''}"
    if step.next_attempt_at:
        return f"{step.name}, next {out.moment(step.next_attempt_at)}"
    if step.scheduled_for:
        return f"{step.name} until {out.moment(step.scheduled_for)}"
    return step.name
