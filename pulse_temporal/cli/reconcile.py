"""``pulse reconcile``: compare the mirror with Temporal now, and repair what differs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pulse_temporal.cli.connection import connect
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.logs import no_log
from pulse_temporal.cli.paragraphs import printable, tell
from pulse_temporal.model.health import CheckName, HealthReport
from pulse_temporal.model.reconcile import Found, ReconcileReport, Remedy

FOUND: Mapping[Found, str] = {
    "completed": "ended in Temporal",
    "failed": "failed in Temporal",
    "canceled": "canceled in Temporal",
    "terminated": "terminated",
    "timed_out": "timed out",
    "not_found": "gone from Temporal",
    "never_started": "never started",
    "still_open": "over, workflow open",
    "branch_lost": "waits in vain",
    "schedule_differs": "schedule differs",
    "schedule_left_over": "schedule left over",
}
"""The state in Temporal, in at most 20 characters."""

DONE: Mapping[Remedy, str] = {
    "fail": "run failed",
    "cancel": "run canceled",
    "restart": "run goes on",
    "start": "run starts",
    "end_workflow": "workflow canceled",
    "terminate_workflow": "workflow terminated",
    "sync_schedule": "schedule made equal",
}
"""What each remedy does."""

CARRIED_OUT_BY_WORKERS: frozenset[Remedy] = frozenset(
    {"restart", "start", "end_workflow", "sync_schedule"}
)
SHOWN = 100
SERVERS: tuple[CheckName, ...] = ("postgres", "temporal")
CONFIRM = "pulse reconcile --confirm"


def reconcile(
    *,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    confirm: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Compare all open runs and schedules with Temporal; repair what differs.

    Workers do this by themselves, every minute. Connects as they do: DATABASE_URL, TEMPORAL_*
    or temporal.toml, PULSE_*. The exit code is 0 when nothing differs or all of it is repaired,
    1 when something could not be looked at or repaired, or when the comparison has halted because
    a person should look first.

    Parameters
    ----------
    dry_run:
        Only say what would be repaired.
    confirm:
        Repair also what would be halted: this is the right Temporal, and its data is lost.
    json:
        Print the report as JSON, for machines.
    """
    with no_log():
        report, health = asyncio.run(compare(dry_run=dry_run, confirm=confirm))
    if json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
    else:
        print_report(Console(highlight=False), report, health)
    return Exit.FAILED if report.halted or report.problems else Exit.OK


async def compare(*, dry_run: bool, confirm: bool) -> tuple[ReconcileReport, HealthReport]:
    """Compare what the environment names; return the report, and a health report beside it."""
    engine = connect()
    try:
        report = await engine.reconcile(dry_run=dry_run, confirm=confirm)
        return report, await engine.check_health(compare=False)
    finally:
        await engine.stop()


def print_report(console: Console, report: ReconcileReport, health: HealthReport) -> None:
    """Print what was compared, each difference, and what was done about it."""
    for name in SERVERS:
        server = health.check(name)
        if server is not None:
            console.print(Text(printable(server.summary), style="dim"), soft_wrap=True)
    runs = f"{report.checked:_} open run{'' if report.checked == 1 else 's'}".replace("_", " ")
    console.print(Text(f"Compared {runs} and all schedules."))
    if report.repairs:
        title = "Repaired:" if report.applied else "What differs, and what would be done:"
        console.print(f"\n{title}")
        print_repairs(console, report)
    console.print()
    if report.halted is not None:
        tell_halt(console, report.halted)
    else:
        print_outcome(console, report)
    print_problems(console, report)
    print_strangers(console, report)
    workers = health.check("workers")
    if report.applied and workers is not None and workers.status != "ok":
        tell_no_worker(console, report)


def tell_halt(console: Console, reason: str) -> None:
    """Print why nothing was repaired, and how to go on."""
    console.print(Text("Halted: nothing was repaired.", style="bold red"))
    tell(console, reason, head=Text("  "))
    for label, fact in (("Read", "docs/operate/reconcile.md"), ("Go on", CONFIRM)):
        console.print(Text.assemble(f"  {label:<7}", (fact, "bold")), soft_wrap=True)


def print_repairs(console: Console, report: ReconcileReport) -> None:
    """Print a line for each difference: subject, tenant, state in Temporal, remedy."""
    shown = report.repairs[:SHOWN]
    subjects = max(len(repair.subject_id) for repair in shown)
    tenants = max(len(repair.tenant_id) for repair in shown)
    words = max(len(FOUND[repair.found]) for repair in shown)
    for repair in shown:
        line = Text.assemble(
            (f"{printable(repair.subject_id):<{subjects}}", "bold"),
            f"  {printable(repair.tenant_id):<{tenants}}  ",
            (f"{FOUND[repair.found]:<{words}}", "yellow"),
            f" → {DONE[repair.remedy]}",
        )
        console.print(line, soft_wrap=True)
    if len(report.repairs) > SHOWN:
        console.print(Text(f"… and {len(report.repairs) - SHOWN} more; --json lists all."))


def print_outcome(console: Console, report: ReconcileReport) -> None:
    """Print how many differences were repaired, or would be."""
    number = len(report.repairs)
    if not number:
        if not report.problems:
            console.print(Text("Nothing differs.", style="green"))
    elif report.applied:
        console.print(Text(f"{number} repaired.", style="green"))
    else:
        console.print(
            Text.assemble(
                (f"{number} to repair; this was a dry run. ", "yellow"),
                ("pulse reconcile", "bold"),
                " repairs.",
            )
        )


def print_problems(console: Console, report: ReconcileReport) -> None:
    """Print what could not be compared or repaired."""
    for problem in report.problems[:SHOWN]:
        tell(console, problem, head=Text("! ", style="bold yellow"))


def print_strangers(console: Console, report: ReconcileReport) -> None:
    """Print the open workflows without a run in Postgres."""
    strangers = report.unknown_workflows
    if not strangers:
        return
    console.print()
    tell(
        console,
        f"{len(strangers)} open workflow{'' if len(strangers) == 1 else 's'} of this task queue"
        " without a run in Postgres, left alone:",
    )
    for workflow_id in strangers:
        console.print(Text(f"  {printable(workflow_id)}"), soft_wrap=True)


def tell_no_worker(console: Console, report: ReconcileReport) -> None:
    """Print how many repairs wait for a worker; nothing when none does."""
    waiting = sum(repair.remedy in CARRIED_OUT_BY_WORKERS for repair in report.repairs)
    if waiting:
        console.print()
        tell(
            console,
            f"No worker lives on this task queue: {waiting} of the repairs wait in the outbox"
            " until one is there.",
            head=Text("! ", style="bold yellow"),
        )
