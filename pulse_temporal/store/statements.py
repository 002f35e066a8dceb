"""Load the named statements of ``queries/*.sql`` for one table prefix and schema.

A file holds statements that run in psql as they stand. Each begins with ``-- name: x`` and is
known as ``<file>.x``; the comment lines below say intent and parameters. After ``-- also: y`` the
statement is known as ``<file>.y`` too; lines that end in ``-- only y`` belong to that one alone,
those that end in ``-- not y`` to all but that one. Tables are written
``pulse_<name>``; loading puts the engine's prefix and schema in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

RELATION = re.compile(r"\bpulse_(?=[a-z])")
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
ALSO = re.compile(r"^-- also: (\w+)$", re.MULTILINE)
MARK = re.compile(r"  -- (only|not) (\w+)$")


@cache
def statements(*, prefix: str, schema: str) -> Mapping[str, str]:
    """Give every statement by its name, such as ``runs.get_run``.

    Args:
        prefix: What table names begin with, for example ``pulse_``.
        schema: Where the tables live; statements name it, so a caller's search path is no matter.
    """
    found: dict[str, str] = {}
    for file in files("pulse_temporal.store").joinpath("queries").iterdir():
        if file.name.endswith(".sql"):
            _, *parts = NAME.split(file.read_text(encoding="utf-8"))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                for known_as in (name, *ALSO.findall(text)):
                    body = relations_in(_body(text, known_as), prefix=prefix, schema=schema)
                    found[f"{file.name[:-4]}.{known_as}"] = body
    return MappingProxyType(found)


def relations_in(text: str, *, prefix: str, schema: str) -> str:
    """Put an engine's prefix and schema in the place of ``pulse_``."""
    quoted = schema.replace('"', '""')
    return RELATION.sub(lambda _: f'"{quoted}".{prefix}', text)


def _body(text: str, name: str) -> str:
    """Give the lines that belong to a statement of this name."""
    lines: list[str] = []
    for line in text.splitlines():
        mark = MARK.search(line)
        is_ours = mark is None or (mark[1] == "only") == (mark[2] == name)
        if is_ours and not line.startswith("--"):
            lines.append(MARK.sub("", line))
    return "\n".join(lines).strip()
