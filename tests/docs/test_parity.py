"""Each row of the parity page names tests, and those exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "parity.md"
TESTS = ROOT / "tests"
PROOF = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows() -> Iterator[tuple[int, list[str]]]:
    """Yield line and cells of every row of every table, without heads and rules."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        follows = lines[number] if number < len(lines) else ""
        if line.startswith("|") and not line.startswith("|--") and not follows.startswith("|--"):
            yield number, [cell.strip() for cell in line.strip("|").split(" | ")]


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """Return the names of the tests in a file; none when there is no such file."""
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_every_row_names_a_test_that_exists() -> None:
    found = list(rows())
    wrong: list[str] = []
    for number, cells in found:
        proofs = PROOF.findall(cells[-1])
        wrong += [f"line {number} names no test"] * (not proofs or len(cells) != 3)
        wrong += [
            f"line {number}: there is no {path}::{name}"
            for path, name in proofs
            if name not in names_of_tests(TESTS / path)
        ]

    assert len(found) > 100
    assert not wrong
