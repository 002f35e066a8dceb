"""What ``tests.scale`` has measured on a large mirror, as tables and as targets."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter, ValidationError

from tests.bench.results import Target
from tests.bench.tables import markdown, table_of_rows

Table = Mapping[str, Mapping[str, float]]
"""Rows by name, numbers by column."""

SCALE: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
TABLE: TypeAdapter[dict[str, dict[str, float]]] = TypeAdapter(dict[str, dict[str, float]])
RATIO = "ratio_p95"
MATCHING = "emit, one match"
JUDGED = ("emit", "claim", "timeline, 20 steps", "list")
"""How questions begin that must not become slower."""


def read(text: bytes) -> dict[str, Table]:
    """Take the tables out of a file; what else it says is left out."""
    tables: dict[str, Table] = {}
    for name, value in SCALE.validate_json(text).items():
        try:
            tables[name] = TABLE.validate_python(value)
        except ValidationError:
            continue
    return tables


def as_markdown(tables: Mapping[str, Table]) -> str:
    """Write all tables, each under its name."""
    parts: list[str] = []
    for name, table in tables.items():
        rows = [
            {"": who, **{column.replace("_", " "): value for column, value in row.items()}}
            for who, row in table.items()
        ]
        parts.append(f"**{name}**\n\n{markdown(table_of_rows(rows))}")
    return "\n\n".join(parts)


def judge(tables: Mapping[str, Table]) -> list[Target]:
    """Set the slowest question, and matching among many definitions, against the aims."""
    targets: list[Target] = []
    for name, table in tables.items():
        ratios = {
            who: row[RATIO]
            for who, row in table.items()
            if RATIO in row and who.startswith(JUDGED)
        }
        if not ratios:
            continue
        if "definitions" in name:
            figure = f"p95 of matching, {name}"
            targets.append(Target(figure, ratios[MATCHING], 1.3, 1.05, lower=True))
        else:
            worst = max(ratios, key=lambda who: ratios[who])
            figure = f"p95 of the slowest of {len(ratios)} questions ({worst}), {name}"
            targets.append(Target(figure, ratios[worst], 1.5, 1.1, lower=True))
    return targets
