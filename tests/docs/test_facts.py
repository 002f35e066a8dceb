"""Facts that the documentation repeats are those of the code and of the schema."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from pulse_temporal.model.runs import (
    RUN_TRANSITIONS,
    STEP_TRANSITIONS,
    TERMINAL_RUN_STATUSES,
    TERMINAL_STEP_STATUSES,
)
from tests.docs.pages import ROOT, blocks_of

ARROW = re.compile(r"^ *(\S+) --> (\S+)$", re.MULTILINE)
EDGE = "[*]"
TIME = "timestamptz"
COLUMN = re.compile(r"^\| `(\w+)` \| `([^`]+)` \|", re.MULTILINE)


def arrows(page: str) -> set[tuple[str, str]]:
    """Return the arrows of a page's state diagram."""
    (diagram,) = [b.text for b in blocks_of(ROOT / "docs" / page) if b.language == "mermaid"]
    found: list[tuple[str, str]] = ARROW.findall(diagram)
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize(
    ("page", "table", "terminal"),
    [
        ("concepts/run.md", RUN_TRANSITIONS, TERMINAL_RUN_STATUSES),
        ("concepts/step.md", STEP_TRANSITIONS, TERMINAL_STEP_STATUSES),
    ],
)
def test_state_diagrams_are_the_tables_of_the_code(
    page: str, table: Mapping[str, frozenset[str]], terminal: frozenset[str]
) -> None:
    expected = {(status, after) for status, follow in table.items() for after in follow}
    expected |= {(EDGE, "pending")} | {(status, EDGE) for status in terminal}

    assert arrows(page) == expected


async def test_the_page_of_tables_is_the_schema(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        """
        SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, NULL) AS type
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
        """
    )
    schema = {
        (row["name"], row["column"], row["type"].replace("timestamp with time zone", TIME))
        for row in rows
    }

    text = (ROOT / "docs/reference/tables.md").read_text(encoding="utf-8")
    told: set[tuple[str, str, str]] = set()
    for section in text.split("\n## ")[1:]:
        table = section.partition("\n")[0]
        columns: list[tuple[str, str]] = COLUMN.findall(section)
        told |= {(table, column, kind) for column, kind in columns}

    assert told == schema


def load_builder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the script behind ``make docs``."""
    path = ROOT / "docs" / "build_reference.py"
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = importlib.util.spec_from_file_location("build_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_docstrings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, run ``make docs``."""
    made: dict[str, str] = load_builder(monkeypatch).pages()
    folder: Path = ROOT / "docs" / "reference"

    assert "create_engine" in made["engine.md"]
    stale = [name for name, text in made.items() if (folder / name).read_text("utf-8") != text]
    unknown = {page.name for page in folder.glob("*.md")} - made.keys() - {"tables.md"}
    assert not stale
    assert not unknown
