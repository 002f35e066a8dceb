"""The glossary is that of the code: every class of the rooms at work is in it, and exists."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pulse_temporal
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "concepts" / "glossary.md"
NAMED = re.compile(r"`((?:[a-z_]+\.)+[A-Z]\w*)`")
ROOMS = ("services", "activities", "worker", "workflows", "temporal", "handlers")
HOUSE = Path(pulse_temporal.__file__).parent


def classes() -> Iterator[str]:
    """Yield the public classes of the rooms, as the page names them."""
    for room in ROOMS:
        for path in sorted((HOUSE / room).rglob("*.py")):
            module = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield f"{module}.{node.name}"


def test_every_class_at_work_is_in_the_glossary() -> None:
    named = set(NAMED.findall(PAGE.read_text(encoding="utf-8")))
    assert sorted(set(classes()) - named) == []


def test_every_name_in_the_glossary_exists() -> None:
    for name in NAMED.findall(PAGE.read_text(encoding="utf-8")):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(f"pulse_temporal.{module}"), attribute), name


def test_no_class_name_stands_twice() -> None:
    """A reader who searches for a name finds one thing."""
    files = sorted(HOUSE.rglob("*.py"))
    names = [
        node.name
        for path in files
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []
