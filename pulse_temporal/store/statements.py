"""Load the named statements of ``queries/*.sql`` for one table prefix and schema.

A file holds statements that run in psql as they stand. Each begins with ``-- name: x`` and is
known as ``<file>.x``; the comment lines below say what it is for. After ``-- also: y`` the
statement is known as ``<file>.y`` too; lines that end in ``-- only y`` belong to that one alone,
those that end in ``-- not y`` to all but that one. Tables are written
``pulse_<name>``; loading puts the engine's prefix and schema in their place.

Parameters are written ``:run_id``, as psql writes variables, and passed by that name. Postgres
knows numbers only: loading counts the names in the order in which they first appear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

RELATION = re.compile(r"\bpulse_(?=[a-z])")
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
ALSO = re.compile(r"^-- also: (\w+)$", re.MULTILINE)
MARK = re.compile(r"  -- (only|not) (\w+)$")
PARAMETER = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*"      # a literal, a quoted name
    | --[^\n]* | /\*.*?\*/               # comments
    | \$(\w*)\$.*?\$\1\$                # a body in dollars
    | ::                                 # a cast
    | (?<![\w)\]]):([a-z]\w*)            # a parameter; what follows a value is a slice's end
    """,
    re.VERBOSE | re.DOTALL,
)
"""A parameter, or something in which a colon begins none."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as Postgres takes it.

    Attributes:
        name: As in ``session.row``.
        text: SQL with numbered parameters.
        parameters: Their names, in the order of the numbers.
    """

    name: str
    text: str
    parameters: tuple[str, ...]

    def arguments(self, given: Mapping[str, object]) -> list[object]:
        """Return values in the order of the numbers.

        Raises:
            TypeError: A name is missing, or is none of this statement's.
        """
        if set(given) != set(self.parameters):
            raise TypeError(
                f"The statement {self.name} takes {', '.join(self.parameters) or 'nothing'}; "
                f"given: {', '.join(given) or 'nothing'}."
            )
        return [given[name] for name in self.parameters]


@cache
def statements(*, prefix: str, schema: str) -> Mapping[str, Statement]:
    """Return every statement by its name, such as ``runs.get_run``.

    Args:
        prefix: What table names begin with, for example ``pulse_``.
        schema: Where the tables live; statements name it, so a caller's search path is no matter.
    """
    found: dict[str, Statement] = {}
    for file in files("pulse_temporal.store").joinpath("queries").iterdir():
        if file.name.endswith(".sql"):
            _, *parts = NAME.split(file.read_text(encoding="utf-8"))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                for known_as in (name, *ALSO.findall(text)):
                    body, parameters = numbered(_body(text, known_as))
                    body = relations_in(body, prefix=prefix, schema=schema)
                    full_name = f"{file.name[:-4]}.{known_as}"
                    found[full_name] = Statement(full_name, body, parameters)
    return MappingProxyType(found)


def relations_in(text: str, *, prefix: str, schema: str) -> str:
    """Return SQL with an engine's prefix and schema in the place of ``pulse_``."""
    quoted = schema.replace('"', '""')
    return RELATION.sub(lambda _: f'"{quoted}".{prefix}', text)


def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Return SQL with ``$n`` in the place of its named parameters, and their names in order."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        name = match[2]
        return f"${names.setdefault(name, len(names) + 1)}" if name else match[0]

    text = PARAMETER.sub(number, text)
    return text, tuple(names)


def _body(text: str, name: str) -> str:
    """Return the lines that belong to a statement of this name."""
    lines: list[str] = []
    for line in text.splitlines():
        mark = MARK.search(line)
        is_ours = mark is None or (mark[1] == "only") == (mark[2] == name)
        if is_ours and not line.startswith("--"):
            lines.append(MARK.sub("", line))
    return "\n".join(lines).strip()
