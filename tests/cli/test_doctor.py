"""``pulse doctor`` on real servers: what it prints, and what it says to the shell."""

from __future__ import annotations

import json
import re

import asyncpg

from pulse_temporal.embedded.ports import free_ports
from pulse_temporal.model.health import CHECK_NAMES, HealthReport
from tests.cli.conftest import StartPulse
from tests.harness import PulseTest
from tests.processes import Program


def ask(start_pulse: StartPulse, pulse: PulseTest, *arguments: str) -> Program:
    """Start the doctor on the servers and the task queue of an engine."""
    return start_pulse(
        "doctor",
        *arguments,
        DATABASE_URL=pulse.dsn,
        TEMPORAL_ADDRESS=pulse.temporal_address,
        PULSE_QUEUE_PREFIX=pulse.engine.options.queue_prefix,
    )


def marks(command: Program) -> dict[str, str]:
    """Return the mark of each check that was printed."""
    found: list[tuple[str, str]] = re.findall(
        r"^([✓!✗·]) (\w+(?: \w+)?)  ", command.stdout, re.MULTILINE
    )
    return {name.replace(" ", "_"): mark for mark, name in found}


def test_all_is_well(start_pulse: StartPulse, pulse: PulseTest) -> None:
    command = ask(start_pulse, pulse)
    assert command.wait() == 0
    assert marks(command) == dict.fromkeys(CHECK_NAMES, "✓")
    assert command.stdout.endswith(f"\n{len(CHECK_NAMES)} ok · 0 to look at · 0 failed\n")
    assert command.stderr == ""
    assert "\x1b" not in command.stdout


def test_a_warning_says_what_to_do_and_fails_nothing(
    start_pulse: StartPulse, idle_pulse: PulseTest
) -> None:
    command = ask(start_pulse, idle_pulse)
    assert command.wait() == 0
    assert marks(command)["workers"] == "!"
    assert re.search(r"^ +→ Runs stand still\. Start a worker", command.stdout, re.MULTILINE)
    assert command.stdout.endswith(f"\n{len(CHECK_NAMES) - 1} ok · 1 to look at · 0 failed\n")


def test_strictly_a_warning_fails_the_command(
    start_pulse: StartPulse, idle_pulse: PulseTest
) -> None:
    command = ask(start_pulse, idle_pulse, "--strict")
    assert command.wait() == 1
    assert marks(command)["workers"] == "!"


def test_strictly_all_may_be_well(start_pulse: StartPulse, pulse: PulseTest) -> None:
    assert ask(start_pulse, pulse, "--strict").wait() == 0


def test_in_a_terminal_lines_fit_and_hang(start_pulse: StartPulse, idle_pulse: PulseTest) -> None:
    command = start_pulse(
        "doctor",
        terminal=True,
        DATABASE_URL=idle_pulse.dsn,
        TEMPORAL_ADDRESS=f"127.0.0.1:{free_ports([0])[0]}",
        COLUMNS="60",
    )
    assert command.wait() == 3
    plain = re.sub(r"\x1b\[[0-9;]*m", "", command.stdout)
    assert plain != command.stdout
    assert max(map(len, plain.splitlines())) <= 60
    assert "→ Does the server run" in plain


async def test_a_failed_check_fails_the_command(
    start_pulse: StartPulse, idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute("DELETE FROM pulse_migrations")
    command = ask(start_pulse, idle_pulse)
    assert command.wait() == 1
    assert marks(command)["tables"] == "✗"
    assert marks(command)["workers"] == "·"
    assert "not checked" in command.stdout


def test_servers_that_are_away_have_an_exit_code_of_their_own(start_pulse: StartPulse) -> None:
    nowhere = f"127.0.0.1:{free_ports([0])[0]}"
    command = start_pulse(
        "doctor", DATABASE_URL=f"postgresql://x:secret@{nowhere}/x", TEMPORAL_ADDRESS=nowhere
    )
    assert command.wait() == 3
    assert (marks(command)["postgres"], marks(command)["temporal"]) == ("✗", "✗")
    assert "secret" not in command.stdout + command.stderr
    assert "Traceback" not in command.stderr


def test_machines_read_json(start_pulse: StartPulse, idle_pulse: PulseTest) -> None:
    command = ask(start_pulse, idle_pulse, "--json")
    assert command.wait() == 0
    assert json.loads(command.stdout)["status"] == "warning"
    report = HealthReport.model_validate_json(command.stdout, extra="ignore")
    assert [check.name for check in report.checks] == list(CHECK_NAMES)


def test_a_setting_that_is_missing_is_named(start_pulse: StartPulse) -> None:
    command = start_pulse("doctor", DATABASE_URL="")
    assert command.wait() == 2
    assert command.stdout == ""
    assert "Error [usage]\n  No Pulse is named. Set DATABASE_URL" in command.stderr
