"""The exit codes, and errors as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from rich.text import Text

from pulse_temporal.errors import (
    EmbeddedServiceError,
    MigrationError,
    PostgresUnavailableError,
    PulseError,
    SchemaError,
    TemporalUnavailableError,
)


class Exit(IntEnum):
    """The exit codes of ``pulse``."""

    OK = 0
    """Done."""

    FAILED = 1
    """The operation failed: a run ended badly, a check found something, a bug."""

    USAGE = 2
    """The command line is wrong; nothing was done."""

    UNREACHABLE = 3
    """Postgres or Temporal cannot be reached or started."""

    INTERRUPTED = 130
    """Ctrl-C, or a signal that ends a process, before the work was done."""


UNREACHABLE = (EmbeddedServiceError, PostgresUnavailableError, TemporalUnavailableError)

ADVICE: Mapping[type[PulseError], str] = {
    PostgresUnavailableError: "Check that the server runs and that the address names it.",
    TemporalUnavailableError: "Check that the server runs and that TEMPORAL_ADDRESS names it.",
    SchemaError: "Run pulse migrate, or call engine.migrate(), before the engine starts.",
    MigrationError: "Use the newest version of Pulse that has worked on this database.",
}
"""Advice for errors whose own message does not say what to do."""


def exit_for(error: PulseError) -> Exit:
    """Return the exit code for an error that ended a command."""
    return Exit.UNREACHABLE if isinstance(error, UNREACHABLE) else Exit.FAILED


def error_block(code: str, paragraphs: Sequence[str]) -> Text:
    """Return an error as a heading with its code, and indented text below."""
    block = Text.assemble(("Error", "bold red"), (f" [{code}]", "red"))
    for paragraph in paragraphs:
        for line in paragraph.splitlines():
            block.append(f"\n  {line}")
    return block


def describe(error: PulseError) -> Text:
    """Return the block for an error: its code, what happened, and what to do."""
    advice = [text for kind, text in ADVICE.items() if isinstance(error, kind)]
    notes = [f"Also: {note}" for note in getattr(error, "__notes__", ())]
    return error_block(error.code, [str(error), *notes, *advice])
