"""The command line: its commands, and how their errors are printed."""

from __future__ import annotations

import asyncio
import io
import sys
from importlib.metadata import version as version_of

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.text import Text

from pulse_temporal.cli.exits import Exit, describe, error_block, exit_for
from pulse_temporal.errors import PulseError

DISTRIBUTION = "pulse-workflows"


def pulse_version() -> str:
    """Return ``pulse`` and the version that is installed."""
    return f"pulse {version_of(DISTRIBUTION)}"


def usage_block(error: CycloptsError) -> Text:
    """Return the error block for a wrong command line, with the help to look at."""
    chain = " ".join(("pulse", *(error.command_chain or ())))
    return error_block("usage", [str(error), f"See: {chain} --help"])


app = App(
    name="pulse",
    help="Signal-driven workflows for multi-tenant applications, durable on Temporal.",
    help_epilogue="Exit codes: 0 done, 1 failed, 2 usage, 3 no server, 130 interrupted.",
    version=pulse_version,
    error_formatter=usage_block,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

# As text, so that a module is imported only when its command is called. In the order of the help.
app.command(
    "pulse_temporal.cli.demo:demo",
    name="demo",
    help="Start Postgres and Temporal, run two workflows for two tenants, watch them live.",
    sort_key=1,
)

app.command(
    "pulse_temporal.cli.migrate:migrate",
    name="migrate",
    help="Create or update the tables.",
    sort_key=2,
)
app.command(
    "pulse_temporal.cli.doctor:doctor",
    name="doctor",
    help="Check Postgres, Temporal, workers, and what waits between them.",
    sort_key=3,
)
app.command(
    "pulse_temporal.cli.reconcile:reconcile",
    name="reconcile",
    help="Compare all open runs and schedules with Temporal; repair what differs.",
    sort_key=4,
)
app.command(
    "pulse_temporal.cli.worker:worker",
    name="worker",
    help="Run the handlers of an application until told to stop.",
    sort_key=5,
)


@app.command(sort_key=9)
def version() -> None:
    """Print the version that is installed."""
    sys.stdout.write(f"{pulse_version()}\n")


def main() -> int:
    """Run the command line of this process and return its exit code.

    Errors that Pulse raises on purpose become one block of text on standard error; any other is
    a bug and keeps its traceback.
    """
    # A terminal or pipe that is not UTF-8 must not end a command over a character.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    errors = Console(stderr=True)
    try:
        result: object = app(error_console=errors)
    except PulseError as error:
        errors.print(describe(error), soft_wrap=True)
        return exit_for(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        errors.print("Interrupted.")
        return Exit.INTERRUPTED
    return result if isinstance(result, int) else Exit.OK
