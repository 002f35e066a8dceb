"""Load the named statements of ``queries/*.sql`` for one table prefix and schema.

A file holds statements that run in psql as they stand. Each begins with ``-- name: x`` and is
known as ``<file>.x``; the comment lines below say intent and parameters. Tables are written
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


@cache
def statements(*, prefix: str, schema: str) -> Mapping[str, str]:
    """Give every statement by its name, such as ``runs.get_run``.

    Args:
        prefix: What table names begin with, for example ``pulse_``.
        schema: Where the tables live; statements name it, so a caller's search path is no matter.
    """
    quoted = schema.replace('"', '""')
    relation = f'"{quoted}".{prefix}'
    found: dict[str, str] = {}
    for file in files("pulse_temporal.store").joinpath("queries").iterdir():
        if file.name.endswith(".sql"):
            _, *parts = NAME.split(file.read_text(encoding="utf-8"))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
                found[f"{file.name[:-4]}.{name}"] = RELATION.sub(relation, body.strip())
    return MappingProxyType(found)
