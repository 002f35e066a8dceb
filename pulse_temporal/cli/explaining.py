"""Print why a signal did or did not start each definition."""

from __future__ import annotations

from pulse_temporal.cli.output import Output
from pulse_temporal.cli.tables import Cell, Column, table_lines
from pulse_temporal.model.explain import Explanation

COLUMNS = (
    Column(title=""),
    Column(title="", is_flexible=True),
    Column(title="", is_flexible=True),
)


def print_explanation(out: Output, found: Explanation) -> None:
    """Print a line for each definition: a sign, its name, and the reason."""
    if found.reason:
        out.line(Cell(f"  {found.reason}").text)
    rows = [
        [
            Cell("  ✓", "green") if each.verdict == "matched" else Cell("  ✗", "red"),
            Cell(each.definition_name),
            Cell(each.reason, "dim"),
        ]
        for each in found.verdicts
    ]
    for line in table_lines(COLUMNS, rows, width=out.width)[1:]:
        out.line(line)
    if found.others:
        out.note(f"{found.others} more might be meant.")
