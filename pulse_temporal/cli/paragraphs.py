"""Print foreign text safely, and paragraphs that are wrapped in a terminal but not in a pipe."""

from __future__ import annotations

import re
import textwrap

from rich.console import Console
from rich.text import Text

LONGEST_LINE = 100
"""Longer lines are hard to read, however wide the terminal."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys instead of showing: controls, and changes of direction.

A tenant could clear the screen or forge lines with them
(``tests/cli/test_reconcile.py::names_cannot_command_the_terminal``).
"""


def printable(text: str) -> str:
    """Return text of tenants or other programs with U+FFFD for all unprintable characters."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def tell(console: Console, text: str, *, head: Text | None = None, style: str = "") -> None:
    """Print a paragraph.

    Args:
        console: Where to print it.
        text: Line breaks become spaces, other unprintable characters U+FFFD.
        head: Printed before the first line; the other lines are indented by its width.
        style: Style of the text.
    """
    first = head if head is not None else Text()
    text = printable(" ".join(text.splitlines()))
    if console.is_terminal:
        width = min(console.width, LONGEST_LINE) - first.cell_len
        lines = textwrap.wrap(
            text, max(width, LONGEST_LINE // 4), break_long_words=False, break_on_hyphens=False
        )
    else:
        lines = [text]
    for number, line in enumerate(lines):
        start = first if number == 0 else Text(" " * first.cell_len)
        console.print(Text.assemble(start, (line, style)), soft_wrap=True)
