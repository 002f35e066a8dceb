"""Turn docstrings, signatures and types of the code into Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, JsonValue

SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Source")
LINE_CHARS = 88
NAMES: Mapping[object, str] = {
    types.NoneType: "None",
    JsonValue: "JSON",
    AwareDatetime: "datetime",
}


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring in Google style, taken apart; text is Markdown.

    Attributes:
        text: All before the first section.
        sections: By title; the entries of Args, Attributes and Raises by name.
        returns: Text of the section Returns.
    """

    text: str
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, dict[str, str]])
    returns: str = ""

    @property
    def summary(self) -> str:
        """The first paragraph as one line."""
        return " ".join(self.text.partition("\n\n")[0].split())


def read_docstring(subject: object) -> Docstring:
    """Take the docstring of a function or class apart."""
    text = markdown_of(inspect.cleandoc(getattr(subject, "__doc__", None) or ""))
    parts = re.split(rf"^({'|'.join(SECTIONS)}):$", text, flags=re.MULTILINE)
    sections: dict[str, dict[str, str]] = {}
    returns = ""
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title == "Returns":
            returns = " ".join(body.split())
        else:
            sections[title] = dict(_entries(body))
    return Docstring(parts[0].strip(), sections, returns)


def markdown_of(text: str) -> str:
    """Write code in one backtick instead of two; blocks stay, and are marked as not to be run."""
    return re.sub(r"(?<!`)``(?!`)", "`", text).replace("```python", "```py")


def _entries(body: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(body).strip("\n")):
        name, _, meaning = entry.partition(":")
        yield name.strip(), " ".join(meaning.split())


def signature_of(function: Callable[..., object]) -> str:
    """Return a function's first lines as written, without its body, ``self`` and decorators."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError(f"{function!r} is no function")
    arguments = tree.args
    shown = [ast.unparse(argument) for argument in _positional(arguments)]
    if arguments.kwonlyargs:
        shown.append("*")
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        shown.append(_with_default(argument, default))
    if arguments.kwarg is not None:
        shown.append(f"**{ast.unparse(arguments.kwarg)}")
    keyword = "async def" if isinstance(tree, ast.AsyncFunctionDef) else "def"
    answer = f" -> {ast.unparse(tree.returns)}" if tree.returns is not None else ""
    answer = answer.replace("builtins.", "")  # beside a method called list
    one_line = f"{keyword} {tree.name}({', '.join(shown)}){answer}"
    if len(one_line) <= LINE_CHARS:
        return one_line
    inside = "".join(f"    {part},\n" for part in shown)
    return f"{keyword} {tree.name}(\n{inside}){answer}"


def _positional(arguments: ast.arguments) -> Iterator[ast.AST]:
    """Yield the arguments before the star, with their defaults, without ``self``."""
    missing = len(arguments.args) - len(arguments.defaults)
    for index, argument in enumerate(arguments.args):
        if argument.arg == "self":
            continue
        default = arguments.defaults[index - missing] if index >= missing else None
        yield ast.Name(_with_default(argument, default))


def _with_default(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    return text if default is None else f"{text} = {ast.unparse(default)}"


def readable(annotation: object, *, known: Mapping[int, str]) -> str:
    """Write a type for people: constraints left out, named unions by their name.

    Args:
        annotation: A type as pydantic keeps it.
        known: Names of types by their ``id``.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    parts = ["…" if part is Ellipsis else part for part in arguments]
    if id(annotation) in known:
        return known[id(annotation)]
    if origin is Annotated:
        return readable(arguments[0], known=known)
    if origin is Literal:
        return " | ".join(f'"{part}"' if isinstance(part, str) else str(part) for part in parts)
    inside = [part if part == "…" else readable(part, known=known) for part in parts]
    if origin in (Union, types.UnionType):
        return " | ".join(map(str, inside))
    name = NAMES.get(annotation) or getattr(origin or annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(str, inside))}]" if inside else name


def length_of_time(length: timedelta) -> str:
    """Write a length of time with its unit: ``5 min``."""
    for unit, size in (
        ("days", timedelta(days=1)),
        ("h", timedelta(hours=1)),
        ("min", timedelta(minutes=1)),
        ("s", timedelta(seconds=1)),
        ("ms", timedelta(milliseconds=1)),
    ):
        if length >= size and not length % size:
            return f"{length // size} {unit}"
    return str(length)


def cell(text: str) -> str:
    """Make a text fit into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
