"""Parts of SQL that several statements share, each written once in ``queries/fragments.sql``.

A fragment begins with ``-- fragment: x``; the comment lines below say what it is. ``{{x}}`` in a
statement stands for it. One that speaks of a row, ``-- fragment: x(s)``, calls that row ``s``,
and ``{{x(r)}}`` is the same of a row ``r``. A fragment may hold others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

FILE = "fragments.sql"
FRAGMENT = re.compile(r"^-- fragment: (\w+)(?:\((\w+)\))?$", re.MULTILINE)
USE = re.compile(r"\{\{(\w+)(?:\((\w+)\))?\}\}")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of SQL.

    Attributes:
        name: As in ``{{name}}``.
        row: What its text calls the row that it speaks of; None: it speaks of none.
        text: Without the comment lines at its head.
    """

    name: str
    row: str | None
    text: str

    def about(self, row: str | None) -> str:
        """Return its text, of a row.

        Raises:
            ValueError: It speaks of a row and none is given, or the other way round.
        """
        if (row is None) != (self.row is None):
            form = f"{self.name}({self.row})" if self.row else self.name
            raise ValueError(f"The fragment {self.name} is written {{{{{form}}}}}.")
        return re.sub(rf"\b{self.row}(?=\.|\)}}}})", row, self.text) if row else self.text


@cache
def fragments() -> Mapping[str, Fragment]:
    """Return every fragment by its name."""
    text = files("pulse_temporal.store").joinpath("queries", FILE).read_text(encoding="utf-8")
    _, *parts = FRAGMENT.split(text)
    found: dict[str, Fragment] = {}
    for name, row, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[name] = Fragment(name, row or None, "\n".join(lines).strip())
    return MappingProxyType(found)


def expanded(text: str, *, known: Mapping[str, Fragment]) -> str:
    """Return SQL with the fragments in it written out, indented like the lines that name them.

    Raises:
        ValueError: It names a fragment that does not exist, or one of a row without the row.
    """
    lines: list[str] = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        written = USE.sub(lambda use: _written(use, known=known), line)
        first, *more = written.splitlines() or [""]
        lines += [first, *(indent + each for each in more)]
    return "\n".join(lines)


def _written(use: re.Match[str], *, known: Mapping[str, Fragment]) -> str:
    """Return what stands for a fragment, with those that it holds."""
    if use[1] not in known:
        raise ValueError(f"No fragment is called {use[1]}; there are: {', '.join(sorted(known))}.")
    return expanded(known[use[1]].about(use[2]), known=known)
