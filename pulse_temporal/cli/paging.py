"""Lists of a page each: how long, where they go on, and what is said below them."""

from __future__ import annotations

from typing import Annotated, TypeVar

from cyclopts import Parameter
from cyclopts.validators import Number
from pydantic import BaseModel

from pulse_temporal.cli.output import Output
from pulse_temporal.model.runs import Page

Item = TypeVar("Item", bound=BaseModel)

DEFAULT_LIMIT = 50
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=500))]


def page_data(out: Output, page: Page[Item]) -> bool:
    """Write a page in the JSON that was asked for; return False when a table was.

    ``json`` is one document with ``items`` and ``nextCursor``, ``jsonl`` a line for each item.
    """
    if out.is_table:
        return False
    if out.options.output == "jsonl":
        out.json_lines(page.items)
    else:
        out.json(page)
    if page.next_cursor is not None:
        out.note(f"More: --cursor {page.next_cursor}")
    return True


def tell_count(out: Output, page: Page[Item], noun: str, *, hint: str = "") -> None:
    """Write how many there are, how to get more, and what to do next."""
    number = len(page.items)
    if number == 0:
        out.note(f"No {noun}." + (f" {hint}" if hint else ""))
        return
    out.note(f"{number} {noun}{'' if number == 1 else 's'}." + (f"  {hint}" if hint else ""))
    if page.next_cursor is not None:
        out.note(f"More: --cursor {page.next_cursor}")
