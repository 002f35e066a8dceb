"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

BLOCK = re.compile(
    r"^```(?P<language>\w*)[^\n]*\n(?P<shown>.*?)^```$"
    r"|^<!-- (?P<hidden_language>python|sql)\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of code in a page; one that readers do not see is an HTML comment.

    Attributes:
        language: ``python``, ``sql``, ``bash``, ``text``, ``mermaid`` …
        text: What is inside.
        line: Line of the page on which the inside begins, from 1.
    """

    language: str
    text: str
    line: int


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        language = match["language"] if match["hidden"] is None else match["hidden_language"]
        inside = match["shown"] if match["hidden"] is None else match["hidden"]
        yield Block(language, inside, text.count("\n", 0, match.start()) + 2)


def name_of(page: Path) -> str:
    """Return the path of a page from the root of the checkout."""
    return page.relative_to(ROOT).as_posix()
