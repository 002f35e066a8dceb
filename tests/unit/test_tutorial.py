"""The tutorial can be read from the first test to the last."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tutorial"
MOST_LINES = 30


def lessons() -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the tests in reading order."""
    for page in sorted(FOLDER.glob("test_*.py")):
        for node in ast.parse(page.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            ):
                yield node


def test_lessons_are_numbered_without_a_gap() -> None:
    numbers = [int(lesson.name.split("_")[1]) for lesson in lessons()]

    assert len(numbers) >= 40
    assert numbers == list(range(1, len(numbers) + 1))


def test_lessons_say_what_is_learned_and_are_short() -> None:
    assert not [lesson.name for lesson in lessons() if not ast.get_docstring(lesson)]
    long = [each.name for each in lessons() if (each.end_lineno or 0) - each.lineno > MOST_LINES]
    assert not long
