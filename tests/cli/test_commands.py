"""The command line apart from what the commands do."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from tests.cli.conftest import StartPulse


def test_version_is_printed(start_pulse: StartPulse) -> None:
    for arguments in (["version"], ["--version"]):
        command = start_pulse(*arguments)
        assert command.wait() == 0
        assert command.stdout == f"pulse {version('pulse-workflows')}\n"
        assert command.stderr == ""


def test_version_does_not_wait_for_the_engine() -> None:
    """Neither Temporal's SDK nor the engine is imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pulse_temporal.cli", "version"],
        capture_output=True,
        check=True,
        text=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pulse_temporal.cli.app" in imported
    assert not {"temporalio", "asyncpg", "pulse_temporal.engine"} & imported


def test_without_a_command_there_is_help(start_pulse: StartPulse) -> None:
    command = start_pulse()
    assert command.wait() == 0
    assert "Usage: pulse COMMAND" in command.stdout
    assert "demo" in command.stdout


def test_each_command_explains_itself(start_pulse: StartPulse) -> None:
    command = start_pulse("demo", "--help")
    assert command.wait() == 0
    assert "--keep" in command.stdout
    assert "--folder" in command.stdout


def test_an_unknown_command_is_a_usage_error(start_pulse: StartPulse) -> None:
    command = start_pulse("dance")
    assert command.wait() == 2
    assert command.stdout == ""
    assert command.stderr.startswith("Error [usage]\n")
    assert '"dance"' in command.stderr
    assert "pulse --help" in command.stderr


def test_an_unknown_option_names_the_help_of_its_command(start_pulse: StartPulse) -> None:
    command = start_pulse("demo", "--loud")
    assert command.wait() == 2
    assert "--loud" in command.stderr
    assert "pulse demo --help" in command.stderr


def test_an_expected_error_is_one_block_without_traceback(start_pulse: StartPulse) -> None:
    """Code, what happened, what to do; and "no server" has an exit code of its own."""
    command = start_pulse("demo", PULSE_PG_BIN="/nowhere")
    assert command.wait() == 3
    assert command.stdout == ""
    assert "Error [embedded_service]\n  PULSE_PG_BIN is '/nowhere'" in command.stderr
    assert "Traceback" not in command.stderr
    assert command.processes() == []


def test_a_missing_extra_is_named() -> None:
    for package in ("cyclopts", "rich"):
        code = (
            f"import sys; sys.modules[{package!r}] = None\n"
            "from pulse_temporal.cli import main\n"
            "sys.exit(main())"
        )
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], capture_output=True, check=False, text=True
        )
        assert done.returncode == 1
        assert "install Pulse with its extra [cli]" in done.stderr
