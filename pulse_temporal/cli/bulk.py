"""``pulse bulk``: do one thing to many runs, and see how far that has come."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from rich.progress import BarColumn, Progress, TextColumn

from pulse_temporal.cli.bulk_choice import EVERY, USUAL, BulkWish, RunChoice
from pulse_temporal.cli.bulk_looks import (
    ITEM_COLUMNS,
    OPERATION_COLUMNS,
    came_of,
    look,
    operation_cells,
    runs_of,
    show_operation,
    show_preview,
)
from pulse_temporal.cli.connection import Pulse, require_tenant, with_pulse
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output, shorten
from pulse_temporal.cli.paging import DEFAULT_LIMIT, Limit, page_data, tell_count
from pulse_temporal.cli.tables import Cell
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.bulk import (
    BulkKind,
    BulkOperation,
    BulkOutcome,
    BulkPreview,
)

GLANCE_SECONDS = 0.25


def retry_in_bulk(
    *runs: str,
    choice: RunChoice = EVERY,
    wish: BulkWish = USUAL,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Retry failed runs, each from the step that failed; exit code 0 when none was refused.

    Parameters
    ----------
    runs:
        Ids of runs, instead of filters.
    """
    return _start("retry", runs, choice=choice, wish=wish, options=options)


def cancel_in_bulk(
    *runs: str,
    choice: RunChoice = EVERY,
    wish: BulkWish = USUAL,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Cancel runs that are not over, for good; exit code 0 when none was refused.

    Parameters
    ----------
    runs:
        Ids of runs, instead of filters.
    """
    return _start("cancel", runs, choice=choice, wish=wish, options=options)


def replay_in_bulk(
    *runs: str,
    choice: RunChoice = EVERY,
    wish: BulkWish = USUAL,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Run the signals of runs again, each once; exit code 0 when none was refused.

    Parameters
    ----------
    runs:
        Ids of runs, instead of filters.
    """
    return _start("replay", runs, choice=choice, wish=wish, options=options)


def repeat_bulk(
    operation: str,
    /,
    *,
    reason: str | None = None,
    detach: Annotated[bool, Parameter(negative=())] = False,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Try those runs again with which a bulk operation has failed.

    Parameters
    ----------
    operation:
        Id of one that is over.
    reason:
        Why; as the first one without it.
    detach:
        Start it and return, without following it.
    """
    out = Output(options)

    async def work(pulse: Pulse) -> BulkOperation:
        started = await pulse.repeat_bulk(operation, reason=reason)
        return started if detach else await _follow(out, pulse, started)

    return _report(out, with_pulse(options, work))


def list_bulk(
    *,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List bulk operations, newest first.

    Parameters
    ----------
    limit:
        Operations at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    page = with_pulse(options, lambda pulse: pulse.list_bulk(limit=limit, cursor=cursor))
    if page_data(out, page):
        return Exit.OK
    out.table(OPERATION_COLUMNS, [operation_cells(out, each) for each in page.items])
    hint = f"Look: pulse bulk show {page.items[0].id}" if page.items else ""
    tell_count(out, page, "bulk operation", hint=hint)
    return Exit.OK


def show_bulk(
    operation: str,
    /,
    *,
    watch: Annotated[bool, Parameter(negative=())] = False,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Show a bulk operation and how far it has come.

    Parameters
    ----------
    operation:
        Its id.
    watch:
        Follow it until it is over; exit code 0 when no run was refused.
    """
    out = Output(options)

    async def work(pulse: Pulse) -> BulkOperation:
        found = await _require(pulse, operation)
        return await _follow(out, pulse, found) if watch else found

    found = with_pulse(options, work)
    if watch:
        return _report(out, found)
    if not out.data(found):
        show_operation(out, found)
    return Exit.OK


def list_bulk_items(
    operation: str,
    /,
    *,
    outcome: BulkOutcome | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List the runs of a bulk operation, in the order of their turns.

    Parameters
    ----------
    operation:
        Its id.
    outcome:
        Only runs with this outcome.
    limit:
        Runs at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    page = with_pulse(
        options,
        lambda pulse: pulse.list_bulk_items(
            operation, outcome=outcome, limit=limit, cursor=cursor
        ),
    )
    if page_data(out, page):
        return Exit.OK
    rows = [
        [
            look(each.outcome),
            Cell(each.run_id),
            Cell(shorten(came_of(each))),
            Cell(out.moment(each.ended_at)),
        ]
        for each in page.items
    ]
    out.table(ITEM_COLUMNS, rows)
    tell_count(out, page, "run")
    return Exit.OK


def abort_bulk(
    operation: str, /, *, reason: str | None = None, options: GlobalOptions = DEFAULTS
) -> int:
    """End a bulk operation: nothing is done to the runs whose turn has not come.

    Parameters
    ----------
    operation:
        Its id.
    reason:
        Why, for the audit.
    """
    out = Output(options)
    found = with_pulse(options, lambda pulse: pulse.abort_bulk(operation, reason=reason))
    if not out.data(found):
        show_operation(out, found)
    return Exit.OK


def _start(
    kind: BulkKind,
    runs: tuple[str, ...],
    *,
    choice: RunChoice,
    wish: BulkWish,
    options: GlobalOptions,
) -> int:
    """Look at what is meant, ask, start it and follow it; return the exit code.

    Raises:
        UsageError: It is not said which runs, or why.
    """
    out, tenant = Output(options), require_tenant(options)
    choice.check(runs)
    if wish.reason is None and not wish.preview:
        raise UsageError("Why? Say --reason; it stands in timelines and in the audit.")

    async def work(pulse: Pulse) -> BulkPreview | BulkOperation:
        chosen = None if runs else await choice.filter(out, pulse, tenant=tenant)
        ids = [await full_id(pulse, run, "run") for run in runs] if runs else None
        seen = await pulse.preview_bulk(kind, filter=chosen, run_ids=ids, tenant_id=tenant)
        if wish.preview:
            return seen
        out.confirm(f"{kind.capitalize()} {runs_of(seen.eligible)} of {tenant}?")
        started = await pulse.start_bulk(
            kind,
            filter=chosen,
            run_ids=ids,
            tenant_id=tenant,
            reason=wish.reason,
            name=wish.name,
            rate=wish.rate,
            idempotency_key=wish.key,
        )
        return started if wish.detach else await _follow(out, pulse, started)

    told = with_pulse(options, work)
    if isinstance(told, BulkOperation):
        return _report(out, told)
    if not out.data(told):
        show_preview(out, told)
    return Exit.OK


async def _follow(out: Output, pulse: Pulse, operation: BulkOperation) -> BulkOperation:
    """Return an operation when it is over; on a terminal, show how far it is."""
    out.note(f"Bulk operation {operation.id}. Ctrl-C stops watching; workers go on.")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total}"),
        console=out.errors,
        disable=out.options.quiet or not out.errors.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(operation.status, total=None)
        while not operation.is_over:
            total = None if operation.status == "collecting" else operation.items
            done = operation.items - operation.left
            bar.update(task, description=operation.status, completed=done, total=total)
            await asyncio.sleep(GLANCE_SECONDS)
            operation = await _require(pulse, operation.id)
    return operation


async def _require(pulse: Pulse, operation_id: str) -> BulkOperation:
    found = await pulse.get_bulk(operation_id)
    if found is None:
        raise NotFoundError(f"There is no bulk operation {operation_id}.")
    return found


def _report(out: Output, operation: BulkOperation) -> int:
    """Show how an operation ended or that it goes on, and return the exit code."""
    if not out.data(operation):
        show_operation(out, operation)
    if not operation.is_over:
        return Exit.OK
    is_good = operation.status == "completed" and operation.failed == 0
    return Exit.OK if is_good else Exit.FAILED
