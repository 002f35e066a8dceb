"""Write results to standard output, and everything else to standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.text import Text

from pulse_temporal.cli.exits import UsageError
from pulse_temporal.cli.moments import absolute, relative
from pulse_temporal.cli.options import GlobalOptions
from pulse_temporal.cli.paragraphs import LONGEST_LINE, printable
from pulse_temporal.cli.tables import Cell, Column, table_lines
from pulse_temporal.clock import utc_now

Facts = Mapping[str, str | Cell | None]
"""Lines of a name and a text; those without a text are left out."""

OBEYED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold unescaped and a terminal obeys; ``paragraphs.UNPRINTABLE`` says why."""


class Output:
    """Where a command writes, in the format that was asked for.

    Args:
        options: Of the command.
    """

    def __init__(self, options: GlobalOptions) -> None:
        no_color = True if options.no_color else None  # None: rich looks at NO_COLOR
        self.options = options
        self.console: Console = Console(highlight=False, no_color=no_color)
        self.errors: Console = Console(stderr=True, highlight=False, no_color=no_color)
        self.now: datetime = utc_now()

    @property
    def is_table(self) -> bool:
        """Whether a person reads it."""
        return self.options.output == "table"

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where nothing is to be cut."""
        return self.console.width if self.console.is_terminal else None

    def moment(self, at: datetime | None) -> str:
        """Return a moment for a column: relative on a terminal, else absolute."""
        if at is None:
            return ""
        if self.console.is_terminal and not self.options.utc:
            return relative(at, now=self.now)
        return absolute(at, utc=self.options.utc)

    def both(self, at: datetime | None) -> str | None:
        """Return a moment in full, and how long ago it was."""
        if at is None:
            return None
        return f"{absolute(at, utc=self.options.utc)}  ({relative(at, now=self.now)})"

    def line(self, text: Text | str = "") -> None:
        """Write a line of a result."""
        self.console.print(text, soft_wrap=True, markup=False)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Write a table; nothing, not even titles, when it is empty."""
        for line in table_lines(columns, rows, width=self.width) if rows else ():
            self.line(line)

    def facts(self, facts: Facts) -> None:
        """Write a line for each fact that has a text."""
        shown = {name: fact for name, fact in facts.items() if fact}
        size = max(map(len, shown), default=0) + 2
        for name, fact in shown.items():
            cell = fact if isinstance(fact, Cell) else Cell(fact)
            head, *more = [printable(line) for line in cell.text.split("\n")]
            self.line(Text.assemble((f"{name:<{size}}", "dim"), (head, cell.style)))
            for line in more:
                self.line(Text.assemble(" " * size, (line, cell.style)))

    def heading(self, text: str) -> None:
        """Write a heading above what follows."""
        self.line()
        self.line(Text(printable(text), style="bold"))

    def json(self, value: JsonValue | BaseModel) -> None:
        """Write one JSON document."""
        sys.stdout.write(f"{_json(value, indent=2)}\n")

    def json_lines(self, values: Iterable[JsonValue | BaseModel]) -> None:
        """Write a JSON document on a line of its own for each value."""
        for value in values:
            sys.stdout.write(f"{_json(value, indent=None)}\n")

    def data(self, value: BaseModel | Sequence[BaseModel]) -> bool:
        """Write a result in the JSON that was asked for; return False when a table was."""
        if self.is_table:
            return False
        each = [value] if isinstance(value, BaseModel) else list(value)
        if self.options.output == "jsonl":
            self.json_lines(each)
        else:
            self.json(value if isinstance(value, BaseModel) else [_plain(item) for item in each])
        return True

    def note(self, text: str) -> None:
        """Write a remark beside the result to standard error."""
        if not self.options.quiet:
            self.errors.print(Text(printable(text), style="dim"), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Write a warning to standard error, also when quiet."""
        self.errors.print(Text.assemble(("! ", "bold yellow"), printable(text)), soft_wrap=True)

    def confirm(self, question: str) -> None:
        """Ask before something that touches many things or cannot be undone.

        Raises:
            UsageError: Nobody can be asked, or the answer is no.
        """
        if self.options.yes:
            return
        if os.environ.get("CI") or not (sys.stdin.isatty() and self.errors.is_terminal):
            raise UsageError(f"{question} Nobody can be asked here: say --yes.")
        self.errors.print(Text(f"{printable(question)} [y/N] "), end="")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise UsageError("Nothing was done.")


def shorten(text: str) -> str:
    """Return the first line of a text, at most as long as a line of a page."""
    first = text.strip().partition("\n")[0]
    return first if len(first) <= LONGEST_LINE else f"{first[: LONGEST_LINE - 1]}…"


def _plain(value: JsonValue | BaseModel) -> JsonValue:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _json(value: JsonValue | BaseModel, *, indent: int | None) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False, indent=indent)
    return OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
