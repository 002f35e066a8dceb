"""Load the named statements of ``queries/*.sql`` for one table prefix and schema.

Each statement of a file begins with ``-- name: x`` and is known as ``<file>.x``; the comment lines
below say what it is for. After ``-- also: y`` the statement is known as ``<file>.y`` too; lines
that end in ``-- only y`` belong to that one alone, those that end in ``-- not y`` to all but that
one. What several statements share is a fragment (``fragments.py``), and stands there as ``{{z}}``.
Tables are written ``pulse_<name>``; loading puts the engine's prefix and schema in their place.

Parameters are written ``:run_id``, as psql writes variables, and passed by that name. Postgres
knows numbers only: loading counts the names in the order in which they first appear.

``python -m pulse_temporal.store.statements claims.claim`` prints a statement as psql runs it, with
its fragments written out; without a name it prints the names.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from pulse_temporal.postgres.statement import Statement
from pulse_temporal.store.fragments import FILE as FRAGMENTS_FILE
from pulse_temporal.store.fragments import expanded, fragments

RELATION = re.compile(r"\bpulse_(?=[a-z])")
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
ALSO = re.compile(r"^-- also: (\w+)$", re.MULTILINE)
MARK = re.compile(r"  -- (only|not) (\w+)$")
PARAMETER = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*"      # a literal, a quoted name
    | --[^\n]* | /\*.*?\*/               # comments
    | \$(\w*)\$.*?\$\1\$                # a body in dollars
    | ::                                 # a cast
    | (?<![\w)\]]):([a-z]\w*)            # a parameter; what follows a value is a slice's end
    """,
    re.VERBOSE | re.DOTALL,
)
"""A parameter, or something in which a colon begins none."""


@cache
def statements(*, prefix: str, schema: str) -> Mapping[str, Statement]:
    """Return every statement by its name, such as ``runs.get_run``.

    Args:
        prefix: What table names begin with, for example ``pulse_``.
        schema: Where the tables live; statements name it, so a caller's search path is no matter.
    """
    found: dict[str, Statement] = {}
    for name, text in written().items():
        body, parameters = numbered(_without_comments(text))
        found[name] = Statement(name, relations_in(body, prefix=prefix, schema=schema), parameters)
    return MappingProxyType(found)


@cache
def written() -> Mapping[str, str]:
    """Return every statement as its file has it, with its comments, and its fragments written out.

    Raises:
        ValueError: One names a fragment that does not exist.
    """
    found: dict[str, str] = {}
    for file in files("pulse_temporal.store").joinpath("queries").iterdir():
        if file.name.endswith(".sql") and file.name != FRAGMENTS_FILE:
            _, *parts = NAME.split(file.read_text(encoding="utf-8"))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                for known_as in (name, *ALSO.findall(text)):
                    own = expanded(_own_lines(text, known_as), known=fragments())
                    found[f"{file.name[:-4]}.{known_as}"] = own
    return MappingProxyType(found)


def relations_in(text: str, *, prefix: str, schema: str) -> str:
    """Return SQL with an engine's prefix and schema in the place of ``pulse_``."""
    quoted = schema.replace('"', '""')
    return RELATION.sub(lambda _: f'"{quoted}".{prefix}', text)


def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Return SQL with ``$n`` in the place of its named parameters, and their names in order."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        name = match[2]
        return f"${names.setdefault(name, len(names) + 1)}" if name else match[0]

    text = PARAMETER.sub(number, text)
    return text, tuple(names)


def for_psql(name: str) -> str:
    """Return a statement as psql runs it, below a line for the value of each parameter.

    Raises:
        LookupError: No statement is called so.
    """
    text = written().get(name)
    if text is None:
        names = sorted(written())
        last = name.rpartition(".")[2]
        near = [each for each in names if last in each.split(".")]
        near += get_close_matches(name, names, n=3)
        hint = f" Near: {', '.join(dict.fromkeys(near))}." if near else ""
        raise LookupError(f"No statement is called {name}.{hint}")
    _, parameters = numbered(_without_comments(text))
    values = [f"\\set {parameter} NULL" for parameter in parameters]
    if values:
        values = [r"-- The values of its parameters, as SQL: \set run_id '''run_0193'''", *values]
    return "\n".join([f"-- {name}", *values, "", text, ""])


def main(arguments: Sequence[str]) -> None:
    """Print the statement that is named, or the names of all."""
    try:
        text = for_psql(arguments[0]) if arguments else "\n".join([*sorted(written()), ""])
    except LookupError as error:
        sys.exit(str(error))
    sys.stdout.write(text)


def _own_lines(text: str, name: str) -> str:
    """Return the lines that belong to a statement of this name."""
    lines: list[str] = []
    for line in text.splitlines():
        mark = MARK.search(line)
        is_ours = mark is None or (mark[1] == "only") == (mark[2] == name)
        if is_ours and not ALSO.match(line):
            lines.append(MARK.sub("", line))
    return "\n".join(lines).strip()


def _without_comments(text: str) -> str:
    """Return SQL without its comment lines.

    Postgres shows and logs the beginning of a statement: that is for what it does. And a comment
    that changes gives the function ``pulse_emit`` no other text, which only its owner may replace.
    """
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


if __name__ == "__main__":
    main(sys.argv[1:])
