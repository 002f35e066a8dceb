"""Show the timelines: as panels that are redrawn in place, or as lines one after the other."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from pulse_temporal.clock import utc_now
from pulse_temporal.demo.board import board
from pulse_temporal.demo.lines import entry_line
from pulse_temporal.demo.watch import Show, WatchedRun
from pulse_temporal.model.timeline import RunTimelineEntry

MARGIN = 2
"""Columns left free, in which the terminal can echo ``^C`` without breaking a line."""


def screen(console: Console, *, title: str) -> AbstractContextManager[Show]:
    """Return panels for a terminal, lines for a pipe or file."""
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        return live_screen(console, title=title)
    return plain_screen(console)


@contextmanager
def live_screen(console: Console, *, title: str) -> Generator[Show]:
    """Redraw panels in place; when the block ends without an error, print them in full."""
    latest: Sequence[WatchedRun] = ()

    def draw(*, height: int | None) -> RenderableType:
        width = console.width - MARGIN
        return board(latest, title=title, now=utc_now(), width=width, height=height)

    def show(views: Sequence[WatchedRun]) -> None:
        nonlocal latest
        latest = views
        live.update(draw(height=console.height - 1), refresh=True)

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield show
    if latest:
        console.print(draw(height=None))


@contextmanager
def plain_screen(console: Console) -> Generator[Show]:
    """Print each entry once, when it is first seen, with its tenant and workflow."""
    printed: dict[str, int] = {}

    def show(views: Sequence[WatchedRun]) -> None:
        fresh: list[tuple[RunTimelineEntry, WatchedRun]] = []
        for view in views:
            seen = printed.get(view.run.id, 0)
            fresh += [(entry, view) for entry in view.entries[seen:]]
            printed[view.run.id] = len(view.entries)
        fresh.sort(key=_moment)
        widest = max(len(view.run.definition_snapshot.name) for view in views)
        for entry, view in fresh:
            head = f"{view.run.tenant_id}  {view.run.definition_snapshot.name:<{widest}}  "
            console.print(Text.assemble(head, entry_line(entry, view)), soft_wrap=True)

    yield show


def _moment(pair: tuple[RunTimelineEntry, WatchedRun]) -> float:
    return pair[0].timestamp.timestamp()
