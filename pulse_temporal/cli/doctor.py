"""``pulse doctor``: check everything that runs need."""

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
from pulse_temporal.cli.paragraphs import tell
from pulse_temporal.model.health import (
    CHECK_NAMES,
    CheckName,
    HealthCheck,
    HealthReport,
    HealthStatus,
)

MARKS: Mapping[HealthStatus, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "bold yellow"),
    "failed": ("✗", "bold red"),
}
SERVERS: tuple[CheckName, ...] = ("postgres", "temporal")
NAME_COLUMNS = max(map(len, CHECK_NAMES)) + 2


def doctor(
    *,
    json: Annotated[bool, Parameter(negative=())] = False,
    strict: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Check Postgres, Temporal, workers, and what waits between them.

    Connects as a worker does: DATABASE_URL, TEMPORAL_* or temporal.toml, PULSE_*. It changes
    nothing. The exit code is 0 when nothing has failed (warnings may be there), 1 when a check
    has failed, 3 when Postgres or Temporal cannot be used at all. With --strict a warning, such
    as that no worker lives, gives 1 too.

    Parameters
    ----------
    json:
        Print the report as JSON, for machines.
    strict:
        Let warnings fail the command, for deployments and alarms.
    """
    with no_log():
        report = asyncio.run(examine())
    if json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
    else:
        print_report(Console(highlight=False), report)
    return exit_of(report, strict=strict)


async def examine() -> HealthReport:
    """Return the health of what the environment's settings name."""
    engine = connect()
    try:
        return await engine.check_health()
    finally:
        await engine.stop()


def exit_of(report: HealthReport, *, strict: bool = False) -> Exit:
    """Return the exit code for a report; with ``strict``, a warning counts as a failure."""
    failed = {check.name for check in report.checks if check.status == "failed"}
    if failed.intersection(SERVERS):
        return Exit.UNREACHABLE
    is_bad = failed or (strict and report.status != "ok")
    return Exit.FAILED if is_bad else Exit.OK


def print_report(console: Console, report: HealthReport) -> None:
    """Print each check in a line or two, and how many are ok, to look at, failed."""
    for name in CHECK_NAMES:
        check = report.check(name)
        if check is not None:
            print_check(console, check)
        else:
            head = Text(f"· {in_words(name)}", style="dim")
            tell(console, "not checked", head=head, style="dim")
    counts = dict.fromkeys(MARKS, 0)
    for check in report.checks:
        counts[check.status] += 1
    parts = [
        (f"{counts['ok']} ok", "green"),
        (f"{counts['warning']} to look at", "yellow" if counts["warning"] else "dim"),
        (f"{counts['failed']} failed", "bold red" if counts["failed"] else "dim"),
    ]
    if report.not_checked:
        parts.append((f"{len(report.not_checked)} not checked", "dim"))
    console.print()
    console.print(Text(" · ").join(Text(text, style=style) for text, style in parts))


def print_check(console: Console, check: HealthCheck) -> None:
    """Print a check: its mark and name, what was found, and what to do."""
    mark, style = MARKS[check.status]
    head = Text.assemble((mark, style), " ", (in_words(check.name), "bold"))
    tell(console, check.summary, head=head)
    if check.advice is not None:
        arrow = Text.assemble(" " * head.cell_len, ("→ ", style))
        tell(console, check.advice, head=arrow)


def in_words(name: CheckName) -> str:
    """Return a check's name for people, padded to the width of the longest."""
    return f"{name.replace('_', ' '):<{NAME_COLUMNS}}"
