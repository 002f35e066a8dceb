"""``pulse signals``: show a stored signal, run it again."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import Pulse, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.statuses import status_cell
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.signals import TriggerEnvelope

STARTED_COLUMNS = (
    Column(title="STATUS"),
    Column(title="RUN"),
    Column(title="DEFINITION", is_flexible=True),
)
MOST_RUNS = 500


def show_signal(signal: str, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Show a stored signal, its payload, and the runs of it and of its replays.

    Parameters
    ----------
    signal:
        Its id.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> tuple[TriggerEnvelope, tuple[WorkflowRun, ...]]:
        found = await pulse.signals.get(signal)
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
    """
    out = Output(options)
    runs = with_pulse(
        options,
        lambda pulse: pulse.signals.replay(signal, dry_run=dry_run, idempotency_key=key),
    )
    if out.data(runs):
        return Exit.OK
    print_started(out, runs)
    if not runs:
        out.note("No run: no definition matches this signal now.")
    else:
        out.note(f"Follow: pulse runs watch {' '.join(run.id for run in runs)}")
    return Exit.OK
