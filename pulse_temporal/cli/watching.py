"""Show runs until they are over, and say how they ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from rich.text import Text

from pulse_temporal.cli.connection import Pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.runs import require_run
from pulse_temporal.cli.statuses import status_cell
from pulse_temporal.demo.screens import screen
from pulse_temporal.demo.watch import POLL_INTERVAL, Show, WatchedRun

TITLE = "Ctrl-C stops watching; the runs go on"


async def watch(out: Output, pulse: Pulse, run_ids: Sequence[str], *, limit: timedelta) -> int:
    """Show runs until all are over or the limit has passed; return the exit code.

    Args:
        out: Where to show them: redrawn on a terminal, else a line for each entry.
        pulse: Reads them.
        run_ids: At least one.
        limit: ``timedelta.max`` for none.

    Raises:
        NotFoundError: One of them is unknown.
    """
    if out.is_table:
        with screen(out.console, title=TITLE) as show:
            views = await _follow(pulse, run_ids, show=show, limit=limit)
    else:
        views = await _follow(pulse, run_ids, show=lambda _: None, limit=limit)
        out.data([view.run for view in views])
    for view in views:
        if out.is_table:
            cell = status_cell(view.run.status)
            out.line(Text.assemble((cell.text, cell.style), f"  {view.run.id}"))
    open_runs = [view.run.id for view in views if not view.is_over]
    if open_runs:
        out.warn(f"Not over yet: {', '.join(open_runs)}")
    return Exit.OK if all(view.run.status == "completed" for view in views) else Exit.FAILED


async def _follow(
    pulse: Pulse, run_ids: Sequence[str], *, show: Show, limit: timedelta
) -> list[WatchedRun]:
    """Show runs until all of them are over or the limit has passed; return the last views."""
    began = time.monotonic()
    views = [await look(pulse, run_id) for run_id in run_ids]
    while True:
        show(views)
        is_late = time.monotonic() - began > limit.total_seconds()
        if is_late or all(view.is_over for view in views):
            return views
        await asyncio.sleep(POLL_INTERVAL.total_seconds())
        views = [view if view.is_over else await look(pulse, view.run.id) for view in views]


async def look(pulse: Pulse, run_id: str) -> WatchedRun:
    """Read a run with its timeline and its steps; the run first, so that an end is complete.

    Raises:
        NotFoundError: There is no such run.
    """
    run = await require_run(pulse, run_id)
    return WatchedRun(
        run=run, entries=await pulse.runs.timeline(run.id), steps=await pulse.runs.steps(run.id)
    )
