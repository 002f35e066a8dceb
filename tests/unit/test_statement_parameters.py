"""Parameters of statements: found where they are, counted for Postgres, passed by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import pulse_temporal.store
from pulse_temporal.store.statements import numbered, statements

STORE = Path(pulse_temporal.store.__file__).parent
STATEMENTS = statements(prefix="pulse_", schema="public")


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        ("SELECT :b, :a, :b", "SELECT $1, $2, $1", ("b", "a")),
        ("SELECT :a::text, ARRAY[:b], (:c)", "SELECT $1::text, ARRAY[$2], ($3)", ("a", "b", "c")),
        ("SELECT x::text, ARRAY[1::int]", "SELECT x::text, ARRAY[1::int]", ()),
        ("SELECT ':a', 'it''s :b', :c", "SELECT ':a', 'it''s :b', $1", ("c",)),
        ('SELECT ":a", "a"":b", :c', 'SELECT ":a", "a"":b", $1', ("c",)),
        ("SELECT :a -- of :b's\n, :c", "SELECT $1 -- of :b's\n, $2", ("a", "c")),
        ("SELECT :a /* ':b\n*/, :c", "SELECT $1 /* ':b\n*/, $2", ("a", "c")),
        ("DO $x$ :a $y$ $x$; SELECT :b", "DO $x$ :a $y$ $x$; SELECT $1", ("b",)),
        ("SELECT n[1:m], n[f(x):m], n[:m]", "SELECT n[1:m], n[f(x):m], n[$1]", ("m",)),
    ],
    ids=["order", "casts", "only casts", "literal", "name", "line", "block", "dollars", "slices"],
)
def test_names_are_counted_in_order(text: str, expected: str, names: tuple[str, ...]) -> None:
    assert numbered(text) == (expected, names)


def test_values_are_put_in_order() -> None:
    assert STATEMENTS["replays.note"].arguments({"tenant_id": 1, "run_ids": 2, "key": 3}) == [
        2,
        1,
        3,
    ]


@pytest.mark.parametrize("given", [{"key": 1}, {"tenant_id": 1, "key": 2, "kye": 3}])
def test_a_missing_or_unknown_name_is_refused(given: Mapping[str, object]) -> None:
    with pytest.raises(TypeError, match=r"replays\.find takes tenant_id, key; given: .*key"):
        STATEMENTS["replays.find"].arguments(given)


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_a_statement_names_its_parameters(name: str) -> None:
    text, parameters = STATEMENTS[name].text, STATEMENTS[name].parameters
    assert set(re.findall(r"\$(\d+)", text)) == {str(n + 1) for n in range(len(parameters))}


def test_every_call_passes_the_names_of_its_statement() -> None:
    wrong: list[str] = []
    for module in sorted(STORE.rglob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for call, scope in calls(tree):
            for name in names_in(call.args[0]):
                given = given_names(call, scope, tree)
                if sorted(given) != sorted(STATEMENTS[name].parameters):
                    wrong.append(f"{module.name}:{call.lineno} {name}: {given}")

    assert not wrong


def test_a_module_runs_the_statements_of_its_own_file() -> None:
    """Who looks for what changes a table finds it in one module and one file of SQL."""
    also = {
        "borrowed_transaction": "transactions",
        "emit_function": "migrations",
        "migrate": "migrations",
    }
    strangers = [
        f"{module.stem} runs {name}"
        for module in sorted(STORE.rglob("*.py"))
        for call, _ in calls(ast.parse(module.read_text(encoding="utf-8")))
        for name in names_in(call.args[0])
        if name.partition(".")[0] not in {module.stem, also.get(module.stem)}
    ]

    assert not strangers


Scope = ast.AsyncFunctionDef | ast.FunctionDef


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, Scope]]:
    """Yield each call that runs a statement, with the function that it stands in."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, Scope)]
    for scope in scopes:
        for node in ast.walk(scope):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="row" | "rows" | "rows_within" | "run"), args=[_, *_]
                ):
                    if names_in(node.args[0]):
                        yield node, scope
                case _:
                    pass


def names_in(node: ast.expr) -> list[str]:
    """Return the statements that an expression may name."""
    found = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return [value for value in found if isinstance(value, str) and value in STATEMENTS]


def given_names(call: ast.Call, scope: Scope, tree: ast.Module) -> list[str]:
    """Return the names of a call's arguments; values that are passed by place have none."""
    before = 2 if isinstance(call.func, ast.Attribute) and call.func.attr == "rows_within" else 1
    given = ["by place" for _ in call.args[before:]]
    for keyword in call.keywords:
        if keyword.arg is None:
            given += keys_of(keyword.value, scope, tree)
        else:
            given.append(keyword.arg)
    return given


def keys_of(node: ast.expr, scope: Scope, tree: ast.Module) -> list[str]:
    """Return the keys of a mapping that is written down, here or where it comes from."""
    match node:
        case ast.Dict():
            keys: list[str] = []
            for key, value in zip(node.keys, node.values, strict=True):
                keys += [ast.literal_eval(key)] if key else keys_of(value, scope, tree)
            return keys
        case ast.Call(func=ast.Name(id="dict")):
            return [keyword.arg or "?" for keyword in node.keywords]
        case ast.Name(id=name):
            values = [
                each.value
                for each in ast.walk(scope)
                if isinstance(each, ast.Assign | ast.AnnAssign)
                and name
                in {target.id for target in ast.walk(each) if isinstance(target, ast.Name)}
            ]
            return keys_of(values[0], scope, tree) if values and values[0] else [f"?{name}"]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            made = [
                each
                for each in ast.walk(tree)
                if isinstance(each, ast.FunctionDef) and each.name == name
            ]
            returned = [each for each in ast.walk(made[0]) if isinstance(each, ast.Return)]
            return keys_of(returned[0].value or node, made[0], tree)
        case _:
            return [f"?{ast.unparse(node)}"]
