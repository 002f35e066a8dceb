"""Draw all runs at once: a panel for each, as many side by side as fit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pulse_temporal.demo.lines import STATUS_STYLES, entry_line, status_text
from pulse_temporal.demo.watch import WatchedRun

BORDERS = 2
LEAST_LINES = 2
WIDE, MEDIUM = 176, 72
"""Columns from which on four, or two, panels stand side by side."""


def board(
    views: Sequence[WatchedRun], *, title: str, now: datetime, width: int, height: int | None
) -> RenderableType:
    """Return a drawing of the runs in the order given, row by row.

    Args:
        views: At least one.
        title: Heading.
        now: The present, for runs that are not over.
        width: Columns of the terminal.
        height: Lines of the terminal; if they do not suffice, the oldest entries are left out.
            None: as many as needed.
    """
    columns = 4 if width >= WIDE else 2 if width >= MEDIUM else 1
    rows = [views[start : start + columns] for start in range(0, len(views), columns)]
    lengths = [max(len(view.entries) for view in row) for row in rows]
    if height is not None:
        lengths = fit(lengths, room=height - 1 - BORDERS * len(rows))
    grid = Table.grid(expand=True)
    grid.width = width
    for _ in range(columns):
        grid.add_column(ratio=1)
    for row, lines in zip(rows, lengths, strict=True):
        grid.add_row(*(panel(view, lines=lines, now=now) for view in row))
    return Group(Text(title, style="bold", no_wrap=True, overflow="ellipsis"), grid)


def fit(lengths: Sequence[int], *, room: int) -> list[int]:
    """Return row lengths, shortened from the longest down until their sum is at most ``room``.

    No row gets shorter than ``LEAST_LINES``, so the sum may stay larger.
    """
    fitting = list(lengths)
    while sum(fitting) > room and max(fitting) > LEAST_LINES:
        fitting[fitting.index(max(fitting))] -= 1
    return fitting


def panel(view: WatchedRun, *, lines: int, now: datetime) -> Panel:
    """Return a panel of one run with exactly ``lines`` lines, the newest entries last."""
    shown = [entry_line(entry, view) for entry in view.entries]
    hidden = len(shown) - lines
    if hidden > 0:
        earlier = Text(f"      … {hidden + 1} earlier", style="dim")
        shown = [earlier, *shown[hidden + 1 :]]
    style = STATUS_STYLES.get(view.run.status, "")
    return Panel(
        Group(*shown),
        title=Text(view.run.definition_snapshot.name, style="bold"),
        title_align="left",
        subtitle=Text.assemble(
            (view.run.tenant_id, "bold"), (f" · {status_text(view, now)}", style)
        ),
        subtitle_align="left",
        border_style=style,
        height=lines + BORDERS,
        padding=(0, 1),
    )
