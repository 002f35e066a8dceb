"""``pulse signals``: show a stored signal, run it again."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import Pulse, require_tenant, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.explaining import print_explanation
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.moments import read_moment
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.paging import DEFAULT_LIMIT, Limit, page_data, tell_count
from pulse_temporal.cli.statuses import status_cell
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.explain import Explanation
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.signals import TriggerEnvelope

STARTED_COLUMNS = (
    Column(title="STATUS"),
    Column(title="RUN"),
    Column(title="DEFINITION", is_flexible=True),
)
MOST_RUNS = 500


LIST_COLUMNS = (
    Column(title="SIGNAL"),
    Column(title="TYPE", is_flexible=True),
    Column(title="ABOUT", is_flexible=True),
    Column(title="SOURCE", is_flexible=True),
    Column(title="RUNS", is_number=True),
    Column(title="EMITTED"),
    Column(title="CAUSED BY"),
)


def list_signals(  # noqa: PLR0913 - filters of a list, each by name
    *,
    type: str | None = None,  # noqa: A002 - the option's name
    source: str | None = None,
    resource: str | None = None,
    matched: bool | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List a tenant's signals, newest first.

    Parameters
    ----------
    type:
        Only signals of this type.
    source:
        Only signals of this source.
    resource:
        Only signals about the resource with this id.
    matched:
        Only those that started a run, or with --no-matched those that started none.
    since:
        Only signals emitted since then: 30m, 2h, 1d (ago), or a date and time.
    until:
        Only signals emitted before then.
    limit:
        Signals at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    tenant = require_tenant(options)
    after = since and read_moment(since, option="--since", now=out.now, utc=options.utc)
    before = until and read_moment(until, option="--until", now=out.now, utc=options.utc)
    page = with_pulse(
        options,
        lambda pulse: pulse.signals.list(
            tenant_id=tenant,
            type=type,
            source=source,
            resource_id=resource,
            is_matched=matched,
            created_after=after or None,
            created_before=before or None,
            limit=limit,
            cursor=cursor,
        ),
    )
    if page_data(out, page):
        return Exit.OK
    rows = [
        [
            Cell(each.id),
            Cell(each.type),
            Cell("/".join(part for part in (each.resource_type, each.resource_id) if part)),
            Cell(each.source, "dim"),
            Cell(str(each.runs), "" if each.runs else "yellow"),
            Cell(out.moment(each.created_at)),
            Cell(each.caused_by_run_id or "", "dim"),
        ]
        for each in page.items
    ]
    out.table(LIST_COLUMNS, rows)
    hint = "Send one: pulse emit TYPE"
    if page.items:
        hint = f"Look: pulse signals show {page.items[0].id}"
    tell_count(out, page, "signal", hint=hint)
    return Exit.OK


def explain_signal(signal: str, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Return why a stored signal did or did not start each definition, as of its own moment.

    Parameters
    ----------
    signal:
        Its id.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> Explanation:
        return await pulse.signals.explain(await full_id(pulse, signal, "signal"))

    found = with_pulse(options, read)
    if not out.data(found):
        out.line(f"{found.runs} run{'' if found.runs == 1 else 's'}")
        print_explanation(out, found)
    return Exit.OK


def show_signal(signal: str, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Show a stored signal, its payload, and the runs of it and of its replays.

    Parameters
    ----------
    signal:
        Its id.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> tuple[TriggerEnvelope, tuple[WorkflowRun, ...]]:
        found = await pulse.signals.get(await full_id(pulse, signal, "signal"))
        if found is None:
            raise NotFoundError(f"There is no signal {signal}.")
        runs = await pulse.runs.list(trigger_id=found.id, limit=MOST_RUNS)
        return found, runs.items

    found, runs = with_pulse(options, read)
    if out.data(found):
        return Exit.OK
    kind = "/".join(part for part in (found.resource_type, found.resource_id) if part)
    out.facts(
        {
            "Signal": Cell(found.id, "bold"),
            "Type": found.type,
            "Source": found.source,
            "Tenant": found.tenant_id,
            "About": kind,
            "Environment": found.environment,
            "Key": found.idempotency_key,
            "Emitted": out.both(found.created_at),
            "Caused by": found.caused_by_run_id,
            "Chain": f"{found.depth} after {found.root_trigger_id}" if found.depth else None,
        }
    )
    if found.payload:
        out.heading("Payload")
        for line in json.dumps(found.payload, indent=2, ensure_ascii=False).splitlines():
            out.line(line)
    out.heading("Runs")
    if runs:
        print_started(out, runs)
    else:
        out.line("none: no definition of this tenant matched")
    out.note(f"Run it again: pulse signals replay {found.id} --dry-run")
    return Exit.OK


def print_started(out: Output, runs: tuple[WorkflowRun, ...] | list[WorkflowRun]) -> None:
    """Print the runs of a signal, a line each."""
    rows = [
        [
            status_cell(run.status, _kind(run)),
            Cell(run.id),
            Cell(run.definition_snapshot.name),
        ]
        for run in runs
    ]
    out.table(STARTED_COLUMNS, rows)


def _kind(run: WorkflowRun) -> str:
    return "(dry run)" if run.is_dry_run else "(replay)" if run.is_replay else ""


def replay_signal(
    signal: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    key: str | None = None,
    reason: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Run a stored signal again, with the definitions that match it now.

    Actions that are not replay-safe are skipped; later steps see what the first run recorded.

    Parameters
    ----------
    signal:
        Its id.
    dry_run:
        Evaluate conditions only: no action, no delay, no signal.
    key:
        Idempotency key: repeated with it, the command gives the runs of the first time.
    reason:
        Why, for the audit.
    """
    out = Output(options)

    async def work(pulse: Pulse) -> list[WorkflowRun]:
        found = await full_id(pulse, signal, "signal")
        return await pulse.signals.replay(
            found, dry_run=dry_run, idempotency_key=key, reason=reason
        )

    runs = with_pulse(options, work)
    if out.data(runs):
        return Exit.OK
    print_started(out, runs)
    if not runs:
        out.note("No run: no definition matches this signal now.")
    else:
        out.note(f"Follow: pulse runs watch {' '.join(run.id for run in runs)}")
    return Exit.OK
