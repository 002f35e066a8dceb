"""Tables: aligned columns, cut to the width of a terminal and never in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from pulse_temporal.cli.paragraphs import printable

GAP = "  "
LEAST = 8
"""Columns that a cell keeps when a table is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Above it.
        is_flexible: Its cells may be cut when the terminal is too narrow.
        is_number: Its cells stand at the right.
    """

    title: str
    is_flexible: bool = False
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a column, and its style."""

    text: str
    style: str = ""


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, width: int | None
) -> list[Text]:
    """Return the lines of a table, the titles first.

    Args:
        columns: From left to right; a column without any text is left out.
        rows: Cells in the order of the columns; line breaks in them become spaces.
        width: Columns of the terminal; None cuts nothing.
    """
    texts = [[printable(" ".join(cell.text.split("\n"))) for cell in row] for row in rows]
    kept = [i for i in range(len(columns)) if any(row[i] for row in texts)]
    if not kept:
        return []
    titles = [column.title for column in columns]
    sizes = {i: max(cell_len(row[i]) for row in [titles, *texts]) for i in kept}
    if width is not None:
        _shrink(sizes, [i for i in kept if columns[i].is_flexible], width=width)
    head = [_fit(titles[i], sizes[i], columns[i]) for i in kept]
    lines = [Text(GAP.join(head).rstrip(), style="bold dim")]
    for row, line_texts in zip(rows, texts, strict=True):
        parts = [(_fit(line_texts[i], sizes[i], columns[i]), row[i].style) for i in kept]
        line = Text(GAP).join(Text(text, style=style) for text, style in parts)
        line.rstrip()
        lines.append(line)
    return lines


def _shrink(sizes: dict[int, int], flexible: Sequence[int], *, width: int) -> None:
    """Narrow the widest flexible columns until the table fits, or each is as narrow as can be."""
    surplus = sum(sizes.values()) + len(GAP) * (len(sizes) - 1) - width
    while surplus > 0 and flexible:
        widest = max(flexible, key=lambda i: sizes[i])
        if sizes[widest] <= LEAST:
            return
        sizes[widest] -= 1
        surplus -= 1


def _fit(text: str, size: int, column: Column) -> str:
    """Return a text with exactly so many columns; what is cut ends with an ellipsis."""
    length = cell_len(text)
    if length > size:
        return f"{set_cell_size(text, size - 1)}…"
    pad = " " * (size - length)
    return pad + text if column.is_number else text + pad
