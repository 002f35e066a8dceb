"""``pulse runs timeline``: what happened to a run, as a waterfall or event by event."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import Pulse, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.runs import require_run
from pulse_temporal.cli.waterfalls import waterfall_lines
from pulse_temporal.demo.lines import entry_line
from pulse_temporal.demo.watch import WatchedRun
from pulse_temporal.model.views import RunView
from pulse_temporal.model.waterfall import waterfall_of
from pulse_temporal.store.rows import required

Flag = Annotated[bool, Parameter(negative=())]


def show_timeline(
    run: str,
    /,
    *,
    events: Flag = False,
    all: Flag = False,  # noqa: A002 - the option's name
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Show what happened to a run: its steps, attempts and pauses on one time axis.

    Parameters
    ----------
    run:
        Id of the run.
    events:
        Every event and log line in order instead, with the seconds since the run was created.
    all:
        All steps; otherwise a run of very many shows those that need somebody.
    """
    out = Output(options)
    if events or not out.is_table:
        _show_events(out, run, options)
        return Exit.OK

    async def read(pulse: Pulse) -> RunView:
        found = await require_run(pulse, run)
        return required(await pulse.runs.view(found.id), "a run that was just there")

    view = with_pulse(options, read)
    waterfall = waterfall_of(view, now=out.now, show_all=all)
    for line in waterfall_lines(waterfall, width=out.width, now=out.now):
        out.line(line)
    if waterfall.is_folded:
        out.note(f"{waterfall.steps} steps; --all shows each.")
    return Exit.OK


def _show_events(out: Output, run: str, options: GlobalOptions) -> None:
    async def read(pulse: Pulse) -> WatchedRun:
        found = await require_run(pulse, run)
        return WatchedRun(
            run=found,
            entries=await pulse.runs.timeline(found.id),
            steps=await pulse.runs.steps(found.id),
        )

    view = with_pulse(options, read)
    if out.data(view.entries):
        return
    for entry in view.entries:
        line = entry_line(entry, view)
        if out.width is not None:
            line.truncate(out.width, overflow="ellipsis")
        out.line(line)
