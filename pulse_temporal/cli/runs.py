"""``pulse runs``: list runs, show one, its steps, its log and what happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from pulse_temporal.cli.connection import Pulse, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.moments import took
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output, shorten
from pulse_temporal.cli.paragraphs import printable
from pulse_temporal.cli.statuses import KINDS, status_cell, step_status
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.runs import (
    TERMINAL_RUN_STATUSES,
    ExecutionLog,
    LogLevel,
    WorkflowRun,
    WorkflowStepRun,
)

STEP_COLUMNS = (
    Column(title="PATH"),
    Column(title="STEP", is_flexible=True),
    Column(title="STATUS"),
    Column(title="TOOK", is_number=True),
    Column(title="WHY", is_flexible=True),
)
LEVEL_STYLES = {"warn": "yellow", "error": "red"}
FOLLOW_SECONDS = 0.2
FIRST_LINES = 5
LONGEST_TRACEBACK = 40

Several: Parameter = Parameter(negative=())


def ended_at(run: WorkflowRun) -> datetime | None:
    """Return when a run ended; None while it is open."""
    if run.status not in TERMINAL_RUN_STATUSES:
        return None
    return run.completed_at or run.failed_at or run.canceled_at


def _run_took(run: WorkflowRun, now: datetime) -> str:
    if run.started_at is None:
        return ""
    return took((ended_at(run) or now) - run.started_at)


async def require_run(pulse: Pulse, run_id: str) -> WorkflowRun:
    """Return a run.

    Raises:
        NotFoundError: There is none of this id for this tenant.
    """
    run = await pulse.runs.get(await full_id(pulse, run_id, "run"))
    if run is None:
        raise NotFoundError(
            f"There is no run {run_id}.\nIt may be of another tenant: pulse runs list shows "
            "those of the tenant that --tenant or PULSE_TENANT names."
        )
    return run


def show_run(run: str, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Show a run: where it stands, its steps, and the error of the step that failed.

    Parameters
    ----------
    run:
        Its id.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> tuple[WorkflowRun, list[WorkflowStepRun], str | None]:
        found = await require_run(pulse, run)
        steps = await pulse.runs.steps(found.id)
        return found, steps, await _traceback(pulse, steps)

    found, steps, traceback = with_pulse(options, read)
    if out.data(found):
        return Exit.OK
    _print_run(out, found)
    if steps:
        out.heading("Steps")
        print_steps(out, steps)
    if traceback:
        out.heading("Traceback")
        for line in traceback.splitlines()[-LONGEST_TRACEBACK:]:
            out.line(Text(printable(line), style="dim"))
    _say_what_helps(out, found)
    return Exit.OK


async def _traceback(pulse: Pulse, steps: Iterable[WorkflowStepRun]) -> str | None:
    """Return the traceback of the newest attempt of the first step that failed."""
    failed = next((step for step in steps if step.status == "failed"), None)
    if failed is None:
        return None
    attempts = await pulse.runs.attempts(failed.run_id, failed.path)
    return next((each.traceback for each in reversed(attempts) if each.traceback), None)


def _print_run(out: Output, run: WorkflowRun) -> None:
    snapshot = run.definition_snapshot
    kind = "dry run" if run.is_dry_run else "replay" if run.is_replay else ""
    ended = ended_at(run)
    out.facts(
        {
            "Run": Cell(run.id, "bold"),
            "Status": status_cell(run.status, f"({kind})" if kind else ""),
            "Why": shorten(run.error_message or run.cancel_reason or ""),
            "Tenant": run.tenant_id,
            "Definition": f"{snapshot.name}  v{snapshot.version}  {run.definition_id}",
            "Signal": f"{snapshot.trigger_type}  {run.trigger_id}",
            "Generation": str(run.generation) if run.generation > 1 else None,
            "Created": out.both(run.created_at),
            "Queued": took(run.started_at - run.created_at) if run.started_at else None,
            "Ended": out.both(ended),
            "Took": _run_took(run, out.now),
            "Not understood": run.definition_snapshot.not_understood,
        }
    )


def _say_what_helps(out: Output, run: WorkflowRun) -> None:
    match run.status:
        case "failed":
            out.note(f"Go on from the failed step: pulse runs retry {run.id}")
        case "completed" | "canceled":
            out.note(f"Run its signal again: pulse signals replay {run.trigger_id} --dry-run")
        case _:
            out.note(f"Follow it: pulse runs watch {run.id}")


def show_steps(run: str, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """List the steps of a run in document order.

    Parameters
    ----------
    run:
        Id of the run.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> list[WorkflowStepRun]:
        return await pulse.runs.steps(await full_id(pulse, run, "run"))

    steps = with_pulse(options, read)
    if not out.data(steps):
        print_steps(out, steps)
    return Exit.OK


def print_steps(out: Output, steps: Sequence[WorkflowStepRun]) -> None:
    """Print a line for each step; those in branches are indented."""
    out.table(STEP_COLUMNS, [_step_cells(out, step) for step in steps])


def _step_cells(out: Output, step: WorkflowStepRun) -> list[Cell]:
    indent = "  " * step.path.count("/b")
    end = step.completed_at or out.now
    length = "" if step.started_at is None else took(end - step.started_at)
    return [
        Cell(step.path, "dim"),
        Cell(f"{indent}{KINDS.get(step.step_type, '·')} {step.step_name}"),
        step_status(step),
        Cell("" if step.status in {"skipped", "failed"} else length),
        Cell(shorten(_why(out, step)), "dim"),
    ]


def _why(out: Output, step: WorkflowStepRun) -> str:
    """Return why a step stands where it stands, in a few words."""
    if step.blocked_reason:
        return step.blocked_reason
    if step.status == "skipped":
        return f"by {step.skipped_by}" if step.skipped_by else ""
    if step.status == "scheduled" and step.scheduled_for:
        return f"until {out.moment(step.scheduled_for)}"
    parts = [step.error_message or ""] if step.status != "completed" else []
    if step.next_attempt_at and step.status not in {"completed", "failed"}:
        parts.insert(0, f"next {out.moment(step.next_attempt_at)}")
    if step.uses:
        parts.append(f"uses {step.uses}")
    return ": ".join(part for part in parts if part)


def show_logs(
    run: str,
    /,
    *,
    step: str | None = None,
    level: Annotated[list[LogLevel] | None, Several] = None,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative=())] = False,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Print the lines that handlers wrote with ctx.log, and those of Pulse about the run.

    Parameters
    ----------
    run:
        Id of the run.
    step:
        Only lines of the step with this path or name.
    level:
        Only lines of this level; may be given several times.
    follow:
        Go on until the run is over.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> None:
        found = await require_run(pulse, run)
        steps = {each.id: each for each in await pulse.runs.steps(found.id)}
        seen = 0
        while True:
            is_over = found.status in TERMINAL_RUN_STATUSES
            lines = await pulse.runs.logs(found.id, levels=level or None)
            _print_logs(out, _of_step(lines[seen:], steps, step), steps, is_stream=follow)
            seen = len(lines)
            if is_over or not follow:
                return
            await asyncio.sleep(FOLLOW_SECONDS)
            found = await require_run(pulse, run)

    with_pulse(options, read)
    return Exit.OK


def _of_step(
    lines: Sequence[ExecutionLog], steps: dict[str, WorkflowStepRun], wanted: str | None
) -> list[ExecutionLog]:
    ids = {each.id for each in steps.values() if wanted in {each.path, each.step_name}}
    return [line for line in lines if wanted is None or line.step_run_id in ids]


def _print_logs(
    out: Output,
    lines: Sequence[ExecutionLog],
    steps: dict[str, WorkflowStepRun],
    *,
    is_stream: bool,
) -> None:
    if not out.is_table:
        if is_stream or out.options.output == "jsonl":
            out.json_lines(lines)
        else:
            out.data(lines)
        return
    for line in lines:
        about = steps.get(line.step_run_id or "")
        facts = " ".join(f"{name}={value}" for name, value in (line.data or {}).items())
        text = Text.assemble(
            (f"{line.created_at.astimezone():%H:%M:%S.%f}"[:-3], "dim"),
            f" {line.level:<5} ",
            (f"{about.step_name}  " if about else "", "bold"),
            (printable(line.message), LEVEL_STYLES.get(line.level, "")),
            (f"  {printable(facts)}" if facts else "", "dim"),
        )
        out.line(text)
