"""Text of others made harmless; paragraphs, broken into lines in a terminal but not in a pipe."""

from __future__ import annotations

import re
import textwrap

from rich.console import Console
from rich.text import Text

LONGEST_LINE = 100
"""Longer lines are hard to read, however wide the terminal."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: control characters, and turns of direction."""


def printable(text: str) -> str:
    """Give text of tenants or of other programs as it may go to a terminal."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def tell(console: Console, text: str, *, head: Text | None = None, style: str = "") -> None:
    """Print a paragraph.

    Args:
        console: Where to.
        text: Line breaks become spaces, other control characters a sign in their place.
        head: What stands before it, in the first line; the other lines are indented by as much.
        style: Of the text.
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
