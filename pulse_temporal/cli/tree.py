"""All commands: where each is, and its line in the help."""

from __future__ import annotations

from dataclasses import dataclass

HERE = "pulse_temporal.cli"


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """Commands about one thing; the names after the first are aliases."""

    names: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        name: As it is typed, its group first.
        target: ``module:function``; the module is imported when the command is called.
        help: Its line in the list of commands.
    """

    name: str
    target: str
    help: str


def _command(name: str, target: str, line: str) -> Command:
    return Command(name, f"{HERE}.{target}", line)


GROUPS = (
    CommandGroup(("runs",), "Look at runs, cancel and retry them."),
    CommandGroup(("failures",), "See why runs fail, in groups."),
    CommandGroup(("bulk",), "Retry, cancel or replay many runs."),
    CommandGroup(("handlers",), "See what steps can call."),
    CommandGroup(("workers",), "See the processes that take work."),
    CommandGroup(("tenants",), "See how each tenant stands."),
    CommandGroup(("signals",), "Look at stored signals, run them again."),
    CommandGroup(("definitions", "workflows"), "Look at workflow definitions and change them."),
    CommandGroup(("keys",), "Make and take away keys of programs that call an API."),
    CommandGroup(("audit",), "See who has changed what."),
    CommandGroup(("crons",), "See when definitions are started by the clock."),
)

COMMANDS = (
    _command("init", "init:init", "Make a folder with an application to begin with."),
    _command(
        "dev", "dev:dev", "Start Postgres, Temporal and a worker that reloads, for this folder."
    ),
    _command(
        "demo",
        "demo:demo",
        "Start Postgres and Temporal, run two workflows for two tenants, watch them live.",
    ),
    _command("migrate", "migrate:migrate", "Create or update the tables."),
    _command(
        "doctor",
        "doctor:doctor",
        "Check Postgres, Temporal, workers, and what waits between them.",
    ),
    _command(
        "reconcile",
        "reconcile:reconcile",
        "Compare all open runs and schedules with Temporal; repair what differs.",
    ),
    _command("worker", "worker:worker", "Run the handlers of an application until told to stop."),
    _command("serve", "serve:serve", "Serve the pages: runs, live, and what to do about them."),
    _command("login-link", "login:make_login_link", "Make a link that signs somebody in, once."),
    _command("emit", "emit:emit", "Emit a signal."),
    _command("match", "emit:match", "Say which definitions a signal would start, and why."),
    _command("runs list", "run_lists:list_runs", "List runs, newest first."),
    _command("runs show", "runs:show_run", "Show a run, its steps, and why it failed."),
    _command("runs watch", "run_deeds:watch_runs", "Show runs live until they are over."),
    _command("runs timeline", "timelines:show_timeline", "Draw a run's steps on a time axis."),
    _command("runs steps", "runs:show_steps", "List the steps of a run."),
    _command("runs logs", "runs:show_logs", "Print the log of a run."),
    _command("runs cancel", "run_deeds:cancel_runs", "Cancel runs, for good."),
    _command("runs retry", "run_deeds:retry_runs", "Retry failed runs where they failed."),
    _command("failures list", "operators:list_failures", "Group failed runs by their error."),
    _command("bulk retry", "bulk:retry_in_bulk", "Retry many failed runs."),
    _command("bulk cancel", "bulk:cancel_in_bulk", "Cancel many runs, for good."),
    _command("bulk replay", "bulk:replay_in_bulk", "Run the signals of many runs again."),
    _command("bulk list", "bulk:list_bulk", "List bulk operations, newest first."),
    _command("bulk show", "bulk:show_bulk", "Show how far a bulk operation has come."),
    _command("bulk items", "bulk:list_bulk_items", "List what became of each run of one."),
    _command("bulk repeat", "bulk:repeat_bulk", "Try the failed runs of one again."),
    _command("bulk abort", "bulk:abort_bulk", "End a bulk operation before its end."),
    _command("workers list", "operators:list_workers", "List the processes that take work."),
    _command("tenants list", "operators:list_tenants", "List tenants and how they stand."),
    _command("signals list", "signals:list_signals", "List a tenant's signals, newest first."),
    _command("signals explain", "signals:explain_signal", "Say why a signal started what."),
    _command("signals show", "signals:show_signal", "Show a stored signal and its runs."),
    _command("signals replay", "signals:replay_signal", "Run a stored signal again."),
    _command("signals types", "handlers:list_types", "List types of signals."),
    _command("handlers list", "handlers:list_handlers", "List actions and conditions."),
    _command("definitions list", "definitions:list_definitions", "List definitions."),
    _command("definitions show", "definitions:show_definition", "Show a definition."),
    _command("definitions validate", "files:validate", "Check definitions in files."),
    _command("definitions plan", "files:plan", "Say what apply would do."),
    _command("definitions apply", "files:apply", "Make what is stored equal to files."),
    _command("definitions export", "files:export", "Write definitions to files."),
    _command("definitions enable", "definitions:enable", "Let definitions match signals."),
    _command("definitions disable", "definitions:disable", "Let definitions match no more."),
    _command("definitions delete", "definitions:delete", "Delete definitions, for good."),
    _command("keys create", "keys:create_key", "Make a key; its token is shown once."),
    _command("keys list", "keys:list_keys", "List keys, newest first."),
    _command("keys revoke", "keys:revoke_keys", "Take keys away, for good."),
    _command("keys rotate", "keys:rotate_key", "Make the key that comes after another one."),
    _command("audit list", "keys:list_audit", "List changes, newest first."),
    _command("crons list", "crons:list_crons", "List definitions with a cron, soonest first."),
    _command("crons next", "crons:next_times", "Show when a cron fires next."),
)
