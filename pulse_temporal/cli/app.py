"""The command line: its commands, and how their errors are printed."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from importlib.metadata import version as version_of

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.text import Text

from pulse_temporal.cli.exits import Exit, UsageError, describe, error_block, exit_for
from pulse_temporal.cli.tree import COMMANDS, GROUPS
from pulse_temporal.errors import PulseError

DISTRIBUTION = "pulse-workflows"


def pulse_version() -> str:
    """Return ``pulse`` and the version that is installed."""
    return f"pulse {version_of(DISTRIBUTION)}"


def usage_block(error: CycloptsError) -> Text:
    """Return the error block for a wrong command line, with the help to look at."""
    chain = " ".join(("pulse", *(error.command_chain or ())))
    return error_block("usage", [str(error), f"See: {chain} --help"])


def version() -> None:
    """Print the version that is installed."""
    sys.stdout.write(f"{pulse_version()}\n")


def make_app() -> App:
    """Return the command line with all its commands, none of which is imported yet."""
    made = App(
        name="pulse",
        help="Signal-driven workflows for multi-tenant applications, durable on Temporal.",
        help_epilogue=(
            "Exit codes: 0 done, 1 failed, 2 usage, 3 no server, 4 not found, "
            "5 conflict or wrong state, 6 not allowed, 130 interrupted."
        ),
        version=pulse_version,
        error_formatter=usage_block,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    groups = {"": made}
    for place, group in enumerate(GROUPS):
        groups[group.names[0]] = App(name=group.names, help=group.help, sort_key=100 + place)
        made.command(groups[group.names[0]])
    for place, command in enumerate(COMMANDS):
        group, _, name = command.name.rpartition(" ")
        # As text, so that a module is imported only when its command is called.
        groups[group].command(command.target, name=name, help=command.help, sort_key=place)
    made.command(version, sort_key=1000)
    return made


app: App = make_app()


def main() -> int:
    """Run the command line of this process and return its exit code.

    Errors that Pulse raises on purpose become one block of text on standard error; any other is
    a bug and keeps its traceback.
    """
    # A terminal or pipe that is not UTF-8 must not end a command over a character.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    errors = Console(stderr=True, highlight=False)
    try:
        result: object = app(sys.argv[1:], error_console=errors)
    except PulseError as error:
        errors.print(describe(error), soft_wrap=True)
        return exit_for(error)
    except UsageError as error:
        errors.print(error_block("usage", [str(error)]), soft_wrap=True)
        return Exit.USAGE
    except BrokenPipeError:
        # Whoever read has enough, as `head` has; Python must not fail over it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except (KeyboardInterrupt, asyncio.CancelledError):
        errors.print("Interrupted.")
        return Exit.INTERRUPTED
    return result if isinstance(result, int) else Exit.OK
