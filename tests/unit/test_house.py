"""House rules that no other tool checks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pulse_temporal

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "docs", "examples", "pulse_temporal", "requirements", "tests", "workers")
LINE_LIMITS = {"pulse_temporal": 400, "workers": 400, "tests": 500}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users)/")

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
PLACEHOLDER = re.compile(r"%(?:\((?P<fact>\w+)\))?[-.0-9]*[a-z]")


def committed_texts() -> Iterator[tuple[Path, str]]:
    """Yield every text file that belongs to the project."""
    paths: list[Path] = []
    for pattern in ("*.md", "*.toml", "*.yml", "Makefile"):
        paths += ROOT.glob(pattern)
    for folder in FOLDERS:
        paths += (ROOT / folder).rglob("*")
    for path in paths:
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8", errors="replace")


def test_files_stay_short() -> None:
    lengths = {
        path: len(text.splitlines()) for path, text in committed_texts() if path.suffix == ".py"
    }
    assert Path("pulse_temporal/__init__.py") in lengths
    too_long = [
        f"{path}: {lines}"
        for path, lines in lengths.items()
        if lines > LINE_LIMITS.get(path.parts[0], 400)
    ]
    assert not too_long


def test_public_names_are_documented() -> None:
    names = pulse_temporal.__all__
    assert names
    assert not [name for name in names if not getattr(pulse_temporal, name).__doc__]


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [
        f"{path}:{number}"
        for path, text in committed_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found


def test_the_lowest_versions_are_those_that_are_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    lowest = (ROOT / "requirements" / "lowest.txt").read_text(encoding="utf-8")

    allowed = {re.sub(r">=([^,]+),.*", r"==\1", bound) for bound in wanted}
    tested = {line for line in lowest.splitlines() if not line.startswith("#")}

    assert tested == {_three_numbers(pin) for pin in allowed}


def _three_numbers(pin: str) -> str:
    return pin + ".0" * (2 - pin.count("."))


def test_the_lock_file_leaves_the_index_to_the_user() -> None:
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock
    assert not re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", lock)


def test_no_text_recommends_installing_a_name_that_is_not_published() -> None:
    """Whoever owns the name on the package index would own what our users install."""
    name = re.compile(r"pip install [^\n#]*pulse[-_](?:workflows|temporal)")
    found = [
        f"{path}:{number}"
        for path, text in committed_texts()
        if path.parts[0] != "tests" and path.name != "Dockerfile"
        for number, line in enumerate(text.splitlines(), start=1)
        if name.search(line)
    ]
    assert not found


def test_log_lines_say_their_facts_in_words() -> None:
    """Most programs print a record's message alone: what is only in ``extra`` is lost."""
    lines = [line for path in sources() for line in log_lines(path)]
    assert len(lines) > 30
    assert not [flaw for line in lines for flaw in flaws(line)]


def sources() -> Iterator[Path]:
    for folder in ("pulse_temporal", "workers"):
        yield from sorted((ROOT / folder).rglob("*.py"))


class LogLine(NamedTuple):
    """A call that logs, what its message may be, and the facts that its function has for it."""

    place: str
    call: ast.Call
    texts: list[str]
    facts: set[str]


def log_lines(path: Path) -> Iterator[LogLine]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = facts_given(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and is_log_call(node.func):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                texts = list(messages(node.args[0], named))
                yield LogLine(place, node, texts, given if "facts" in ast.unparse(node) else set())


def facts_given(function: ast.AST) -> set[str]:
    """Return the keys of the dictionaries that a function calls ``facts``."""
    return {
        key.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "facts"
        and isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def is_log_call(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LOG_METHODS
        and ast.unparse(function.value) in {"log", "workflow.logger"}
    )


def messages(node: ast.expr, named: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the texts that an expression may be; a parameter may be each of the file's."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from messages(node.body, named)
            yield from messages(node.orelse, named)
        case ast.BinOp():
            yield "".join([*messages(node.left, named), *messages(node.right, named)])
        case ast.Name() if node.id in named:
            yield from messages(named[node.id], named)
        case ast.Name():
            every = (text for each in named.values() for text in messages(each, named))
            yield from (text for text in every if "%(" in text and text[0] != " ")
        case _:
            return


def flaws(line: LogLine) -> Iterator[str]:
    """Yield what is wrong with a log line."""
    place, call, texts, given = line
    extra = next((ast.unparse(each.value) for each in call.keywords if each.arg == "extra"), None)
    said = {found["fact"] for text in texts for found in PLACEHOLDER.finditer(text)}
    if not texts:
        yield f"{place}: the message is no text that can be checked"
    for text in texts:
        if not (text[0].isupper() or text[0] == "%"):
            yield f"{place}: {text!r} does not begin with a capital"
        if not re.search(r"\.$|%(?:\(\w+\))?s$", text):
            yield f"{place}: {text!r} is no sentence"
    if extra is not None and not said:
        yield f"{place}: the message has none of the facts in `extra`"
    if said - {None} and extra != ast.unparse(call.args[1]):
        yield f"{place}: the facts of the message and of `extra` are not the same"
    if given - said:
        yield f"{place}: the message does not say {given - said}"
