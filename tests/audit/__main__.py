"""Change the code that decides, a little and one place at a time: the unit tests must notice.

    python -m tests.audit

Each change (a mutant) turns a comparison, a boolean, a number or a condition round. A mutant that
no test notices survives, which is a gap in the tests, or a change that means nothing. The latter
are in ``survivors.txt`` with their reason; any other fails the audit.
"""

from __future__ import annotations

import ast
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

EXPLAINED = Path(__file__).with_name("survivors.txt")
CPU_SECONDS = 30.0
OPTIONS = (
    "-qx",
    "-Wignore::pytest.PytestAssertRewriteWarning",
    *(f"-pno:{plugin}" for plugin in ("randomly", "cacheprovider")),
)
TESTS_OF = {
    "pulse_temporal.workflows.cursor": ["tests/unit/workflows/test_cursor.py"],
    "pulse_temporal.services.runs.verdicts": ["tests/unit/test_verdicts.py"],
    "pulse_temporal.services.runs.admission": ["tests/unit/test_admission.py"],
}
"""What is changed, and the tests that must notice. The ledger decides nothing by itself: that is
in ``verdicts``; the rest it does in Postgres."""

OTHER: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one change.

    Attributes:
        name: Says where and what; the same as long as the function reads the same.
        text: Of the whole module.
    """

    name: str
    text: str


def changes(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what an expression may be turned into."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in OTHER:
            yield ast.Compare(node.left, [OTHER[type(op)]()], node.comparators)
        case ast.BoolOp(op=ast.And()):
            yield ast.BoolOp(ast.Or(), node.values)
        case ast.BoolOp(op=ast.Or()):
            yield ast.BoolOp(ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.BinOp(op=ast.Add()):
            yield ast.BinOp(node.left, ast.Sub(), node.right)
        case ast.BinOp(op=ast.Sub()):
            yield ast.BinOp(node.left, ast.Add(), node.right)
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case _:
            return


class Change(ast.NodeTransformer):
    """Puts one expression in the place of another, which is told by its number."""

    def __init__(self, number: int, instead: ast.expr) -> None:
        self.number = number
        self.instead = instead
        self._seen = -1

    @override
    def visit(self, node: ast.AST) -> ast.AST:
        """Count the expressions in the order in which ``mutants`` does."""
        if isinstance(node, ast.expr):
            self._seen += 1
            if self._seen == self.number:
                return ast.copy_location(self.instead, node)
        return self.generic_visit(node)


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield all expressions below a node, parents first."""
    if isinstance(node, ast.expr):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from expressions(child)


def mutants(source: str) -> Iterator[Mutant]:
    """Yield a module's mutants: of its functions, one change each."""
    tree = ast.parse(source)
    for place, function in enumerate(tree.body):
        if not isinstance(function, ast.FunctionDef):
            continue
        for number, node in enumerate(expressions(function)):
            for instead in changes(node):
                mutated = deepcopy(tree)
                changed = Change(number, instead).visit(mutated.body[place])
                assert isinstance(changed, ast.stmt)
                mutated.body[place] = changed
                text = ast.unparse(ast.fix_missing_locations(mutated))
                name = f"{function.name}: {ast.unparse(node)} -> {ast.unparse(instead)}"
                yield Mutant(name, text)


def is_noticed(text: str, module: str, tests: list[str]) -> bool:
    """Run the tests in a fork of this process in which the module has another text.

    The tests are imported in the fork, so they get the functions of that text.
    """
    pid = os.fork()
    if pid == 0:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # a loop that does not end is noticed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        status = 1
        try:
            exec(compile(text, module, "exec"), vars(sys.modules[module]))  # noqa: S102 - our own module
            status = pytest.main([*OPTIONS, *tests])
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return status != 0


def main() -> int:
    """Audit all modules; return 1 when a mutant survives unexplained."""
    lines = EXPLAINED.read_text(encoding="utf-8").splitlines()
    explained = {line for line in lines if line and line[0] not in "# "}
    importlib.import_module("tests.conftest")  # once, and not in each fork
    left = 0
    for module, tests in TESTS_OF.items():
        source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
        if is_noticed(source, module, tests):
            sys.stdout.write(f"{module}: its tests fail already: {' '.join(tests)}\n")
            return 1
        found = list(mutants(source))
        alive = [each.name for each in found if not is_noticed(each.text, module, tests)]
        fresh = [name for name in alive if name not in explained]
        sys.stdout.write(f"{module}: {len(found)} mutants, {len(alive)} survive\n")
        sys.stdout.writelines(f"  {name}\n" for name in fresh)
        left += len(fresh)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
