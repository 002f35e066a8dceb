"""Text with a hanging indent: broken into lines in a terminal, one line each in a pipe."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

LONGEST_LINE = 100
"""Longer lines are hard to read, however wide the terminal."""


def tell(console: Console, text: str, *, head: Text | None = None, style: str = "") -> None:
    """Print a paragraph.

    Args:
        console: Where to.
        text: Without line breaks.
        head: What stands before it, in the first line; the other lines are indented by as much.
        style: Of the text.
    """
    first = head if head is not None else Text()
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
