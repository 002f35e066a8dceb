"""``pulse failures``, ``pulse workers`` and ``pulse tenants``: what operators look at first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pulse_temporal.cli.connection import connect, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.logs import no_log
from pulse_temporal.cli.moments import read_moment
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output, shorten
from pulse_temporal.cli.paging import DEFAULT_LIMIT, Limit, page_data, tell_count
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.engine.facade import Engine
from pulse_temporal.model.views import BoundedCount

Answer = TypeVar("Answer")

FAILURE_COLUMNS = (
    Column(title="RUNS", is_number=True),
    Column(title="TENANT"),
    Column(title="DEFINITION", is_flexible=True),
    Column(title="STEP", is_flexible=True),
    Column(title="ERROR", is_flexible=True),
    Column(title="LAST"),
    Column(title="FOR EXAMPLE"),
)
WORKER_COLUMNS = (
    Column(title="STATE"),
    Column(title="WORKER"),
    Column(title="QUEUE"),
    Column(title="IN WORK", is_number=True),
    Column(title="STARTED"),
    Column(title="SEEN"),
    Column(title="HANDLERS", is_flexible=True),
)
TENANT_COLUMNS = (
    Column(title="TENANT"),
    Column(title="DEFINITIONS", is_number=True),
    Column(title="RUNS 24 H", is_number=True),
    Column(title="FAILED", is_number=True),
    Column(title="OPEN", is_number=True),
    Column(title="RETRYING", is_number=True),
    Column(title="BLOCKED", is_number=True),
    Column(title="OLDEST PENDING"),
)


def list_failures(*, since: str | None = None, options: GlobalOptions = DEFAULTS) -> int:
    """Group the newest 1 000 failed runs by definition, step and error.

    Parameters
    ----------
    since:
        Only runs created since then: 30m, 2h, 1d (ago), or a date and time.
    """
    out = Output(options)
    after = None
    if since is not None:
        after = read_moment(since, option="--since", now=out.now, utc=options.utc)
    found = with_pulse(options, lambda pulse: pulse.runs.failures(created_after=after))
    if out.data(found):
        return Exit.OK
    rows = [
        [
            Cell(str(each.runs)),
            Cell("" if options.tenant == each.tenant_id else each.tenant_id),
            Cell(each.definition_name),
            Cell(each.step_name or ""),
            Cell(shorten(each.error or ""), "red"),
            Cell(out.moment(each.last_failed_at)),
            Cell(each.sample_run_id),
        ]
        for each in found
    ]
    out.table(FAILURE_COLUMNS, rows)
    if found:
        out.note(f"Look: pulse runs show {found[0].sample_run_id}")
    else:
        out.note("No run has failed.")
    return Exit.OK


def list_workers(*, options: GlobalOptions = DEFAULTS) -> int:
    """List the processes that take work, of all task queues, last seen first."""
    out = Output(options)
    found = _with_engine(lambda engine: engine.list_workers())
    if out.data(found):
        return Exit.OK
    rows = [
        [
            Cell("✓ live", "green") if each.is_live else Cell("✗ silent", "red"),
            Cell(each.id),
            Cell(each.task_queue),
            Cell(_count(each.in_work)),
            Cell(out.moment(each.started_at)),
            Cell(out.moment(each.seen_at)),
            Cell(", ".join((*each.actions, *each.conditions)), "dim"),
        ]
        for each in found
    ]
    out.table(WORKER_COLUMNS, rows)
    if not any(each.is_live for each in found):
        out.note("No worker lives: pulse worker APP starts one.")
    return Exit.OK


def list_tenants(
    *,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List the tenants that have a signal or a definition, and how they stand.

    Parameters
    ----------
    limit:
        Tenants at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    page = _with_engine(lambda engine: engine.list_tenants(limit=limit, cursor=cursor))
    if page_data(out, page):
        return Exit.OK
    rows = [
        [
            Cell(each.id),
            *(
                Cell(_count(count), style if count.count else "dim")
                for count, style in (
                    (each.definitions, ""),
                    (each.runs, ""),
                    (each.failed, "red"),
                    (each.open, ""),
                    (each.retrying, "yellow"),
                    (each.blocked, "bold yellow"),
                )
            ),
            Cell(out.moment(each.oldest_pending_at)),
        ]
        for each in page.items
    ]
    out.table(TENANT_COLUMNS, rows)
    tell_count(out, page, "tenant")
    return Exit.OK


def _count(count: BoundedCount) -> str:
    return f"{count.count}{'+' if count.is_bounded else ''}"


def _with_engine(work: Callable[[Engine], Awaitable[Answer]]) -> Answer:
    """Ask what is about all tenants."""

    async def run() -> Answer:
        engine = connect()
        try:
            return await work(engine)
        finally:
            await engine.stop()

    with no_log():
        return asyncio.run(run())
