"""What was found, as columns of text or as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.measure import Figures
from tests.bench.results import Found, Row, Target

WIDEST = 12

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The heading of each column, and the rows."""


def as_text(found: Found) -> list[str]:
    """Write everything for a terminal."""
    lines: list[str] = []
    for name, rows in found.figures.items():
        lines += [f"{name}:", *aligned(table_of_figures(rows)), ""]
    if found.latencies:
        lines += ["one in flight, ms:", *aligned(table_of_latencies(found.latencies)), ""]
    for name, rows in found.tables.items():
        lines += [f"{name}:", *aligned(narrow(table_of_rows(rows))), ""]
    if found.targets:
        lines += aligned(table_of_targets(found.targets))
    return lines


def aligned(table: Table) -> list[str]:
    """Write a table in columns, numbers to the right."""
    heading, rows = table
    widths = [max(len(row[at]) for row in (heading, *rows)) for at in range(len(heading))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heading, *rows)
    ]


def markdown(table: Table) -> str:
    """Write a table in Markdown."""
    heading, rows = table
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))


def narrow(table: Table) -> Table:
    """Turn a table that has more columns than a terminal, or a page, has room for."""
    return table if len(table[0]) <= WIDEST else transposed(table)


def transposed(table: Table) -> Table:
    """Turn columns into rows."""
    heading, rows = table
    first, *others = zip(heading, *rows, strict=True)
    return first, others


def table_of_figures(figures: Mapping[str, Figures]) -> Table:
    """Write contenders side by side; the spread is the slowest and the fastest round."""
    heading = ("", "per second", "spread", "own CPU ms", "server CPU ms", "all CPU ms")
    return heading, [
        (
            name,
            number(each.per_second),
            f"{number(each.spread[0])} to {number(each.spread[1])}",
            number(each.own_cpu_ms),
            number(each.server_cpu_ms),
            number(each.own_cpu_ms + each.server_cpu_ms),
        )
        for name, each in figures.items()
    ]


def table_of_latencies(latencies: Mapping[str, Mapping[str, float]]) -> Table:
    """Write latencies, in ms."""
    names = list(next(iter(latencies.values())))
    heading = ("", *(name.removesuffix("_ms").replace("_", " ") for name in names))
    return heading, [
        (contender, *(number(values[name]) for name in names))
        for contender, values in latencies.items()
    ]


def table_of_targets(targets: Sequence[Target]) -> Table:
    """Write ratios and what they should be."""
    heading = ("ratio", "measured", "spread", "at least", "aim", "verdict")
    return heading, [
        (
            each.figure,
            f"{each.ratio:.2f}",
            "" if each.spread is None else f"{each.spread[0]:.2f} to {each.spread[1]:.2f}",
            f"{'≤ ' if each.lower else ''}{each.least:g}",
            f"{'≤ ' if each.lower else ''}{each.aim:g}",
            each.verdict,
        )
        for each in targets
    ]


def table_of_rows(rows: Sequence[Row]) -> Table:
    """Write the rows of a curve."""
    heading = tuple(rows[0])
    return heading, [
        tuple(cell if isinstance(cell, str) else number(cell) for cell in row.values())
        for row in rows
    ]


def number(value: float) -> str:
    """Write a number with three digits that matter."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
