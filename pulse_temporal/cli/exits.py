"""The exit codes, and errors as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from rich.text import Text

from pulse_temporal.cli.paragraphs import printable
from pulse_temporal.errors import (
    BulkOverError,
    ConfigurationError,
    CredentialError,
    DefinitionConflictError,
    DefinitionError,
    EmbeddedServiceError,
    EmitBusyError,
    IdempotencyConflictError,
    InvalidInputError,
    JsonValueError,
    KeyRotatedError,
    MigrationError,
    MissingRightError,
    NotFoundError,
    PostgresUnavailableError,
    PulseError,
    RunError,
    SchemaError,
    SignalError,
    TemporalUnavailableError,
    TransactionConflictError,
    TransactionInDoubtError,
)


class Exit(IntEnum):
    """The exit codes of ``pulse``; ``EXIT_MEANINGS`` says what they mean."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    CONFLICT = 5
    NOT_ALLOWED = 6
    INTERRUPTED = 130


EXIT_MEANINGS: Mapping[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILED: "failed: a run ended badly, a check found something, a bug",
    Exit.USAGE: "the command line or a setting is wrong; nothing was done",
    Exit.UNREACHABLE: "Postgres or Temporal cannot be reached or started",
    Exit.NOT_FOUND: "there is no such run, signal or definition for this tenant",
    Exit.CONFLICT: "its state does not allow it, or somebody else was faster",
    Exit.NOT_ALLOWED: "the database role may not do this",
    Exit.INTERRUPTED: "interrupted, by Ctrl-C or a signal that ends a process",
}


class UsageError(Exception):
    """The command line cannot be followed; the message says what would be accepted."""


EXITS: Mapping[type[PulseError], Exit] = {
    TransactionInDoubtError: Exit.FAILED,  # a repeat could do it twice: not simply "no server"
    EmbeddedServiceError: Exit.UNREACHABLE,
    PostgresUnavailableError: Exit.UNREACHABLE,
    TemporalUnavailableError: Exit.UNREACHABLE,
    MissingRightError: Exit.NOT_ALLOWED,
    ConfigurationError: Exit.USAGE,
    CredentialError: Exit.NOT_ALLOWED,
    NotFoundError: Exit.NOT_FOUND,
    DefinitionConflictError: Exit.CONFLICT,
    IdempotencyConflictError: Exit.CONFLICT,
    EmitBusyError: Exit.CONFLICT,
    TransactionConflictError: Exit.CONFLICT,
    BulkOverError: Exit.CONFLICT,
    KeyRotatedError: Exit.CONFLICT,
    RunError: Exit.CONFLICT,
    DefinitionError: Exit.FAILED,
    JsonValueError: Exit.FAILED,
    SignalError: Exit.FAILED,
    InvalidInputError: Exit.USAGE,
}
"""Exit codes by class, the narrower class before the wider; every other error is FAILED."""

ADVICE: Mapping[type[PulseError], str] = {
    PostgresUnavailableError: "Check that the server runs and that the address names it.",
    TemporalUnavailableError: "Check that the server runs and that TEMPORAL_ADDRESS names it.",
    SchemaError: "Run pulse migrate, or call engine.migrate(), before the engine starts.",
    MigrationError: "Use the newest version of Pulse that has worked on this database.",
}
"""Advice for errors whose own message does not say what to do."""


def exit_for(error: PulseError) -> Exit:
    """Return the exit code for an error that ended a command."""
    return next((code for kind, code in EXITS.items() if isinstance(error, kind)), Exit.FAILED)


def error_block(code: str, paragraphs: Sequence[str]) -> Text:
    """Return an error as a heading with its code, and indented text below.

    Ids and names of tenants may stand in it, so what a terminal would obey is replaced.
    """
    block = Text.assemble(("Error", "bold red"), (f" [{code}]", "red"))
    for paragraph in paragraphs:
        for line in paragraph.splitlines():
            block.append(f"\n  {printable(line)}")
    return block


def describe(error: PulseError, *, advice: Sequence[str] = ()) -> Text:
    """Return the block for an error: its code, what happened, and what to do.

    Args:
        error: What ended the command.
        advice: What to do in this place, beside what is said about all errors of its class.
    """
    general = [text for kind, text in ADVICE.items() if isinstance(error, kind)]
    notes = [f"Also: {note}" for note in getattr(error, "__notes__", ())]
    return error_block(error.code, [str(error), *notes, *general, *advice])
