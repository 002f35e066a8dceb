"""``pulse demo`` on servers of its own, in a pipe and in a terminal."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import StartPulse
from tests.processes import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

RUNS = [
    ("workspace_1", "Incident on missed heartbeat"),
    ("workspace_1", "Multi-channel alert"),
    ("workspace_2", "Incident on missed heartbeat"),
    ("workspace_2", "Multi-channel alert"),
]


def assert_all_runs_completed(command: Program) -> None:
    """Each run's timeline must have been printed to its end, once."""
    completed = r"^(\w+)  (.+?) +\d+\.\d\d ● run completed(?:  ended early by \w+)?$"
    ends = re.findall(completed, command.stdout, re.MULTILINE)
    assert sorted(ends) == RUNS


def status_of(address: str) -> int:
    """Return the status with which a web server answers."""
    with urllib.request.urlopen(address) as page:  # noqa: S310
        return page.status


def test_four_runs_end_as_expected_and_nothing_is_left(
    start_pulse: StartPulse, tmp_path: Path
) -> None:
    command = start_pulse("demo")
    assert command.wait() == 0
    assert_all_runs_completed(command)
    for line in (
        r"workspace_1 .* ↻ send_slack  retry in 0\.6 s: ConnectionError: Slack answered 503",
        r"workspace_1 .* ▸ send_slack  attempt 2",
        r"workspace_1 .* ✓ service_still_down  answered yes",
        r"workspace_1 .* » Incident created  incident=INC-\w{4} severity=high",
        r"workspace_2 .* ✓ service_still_down  answered no",
        r"workspace_2 .* ○ notify_oncall  skipped",
    ):
        assert re.search(rf"^{line}$", command.stdout, re.MULTILINE), line
    assert command.stdout.count("✓ workspace_") == 4
    assert "\x1b" not in command.stdout + command.stderr
    assert command.processes() == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_nothing(start_pulse: StartPulse, tmp_path: Path) -> None:
    """In a terminal: the panels go, the cursor comes back."""
    command = start_pulse("demo", terminal=True)
    command.wait_for("wait_2s")
    assert any("start-dev" in line for line in command.processes())
    assert command.end(signal.SIGINT) == 130
    assert "╭─" in command.stdout
    assert command.stdout.rindex("\x1b[?25h") > command.stdout.rindex("\x1b[?25l")
    assert command.stderr.endswith("Interrupted.\n")
    assert "Traceback" not in command.stderr
    assert command.processes() == []
    assert list(tmp_path.iterdir()) == []


def test_a_kept_folder_takes_another_demo_after_a_broken_off_one(
    start_pulse: StartPulse, tmp_path: Path
) -> None:
    """SIGTERM ends it like Ctrl-C; old definitions are replaced, old runs do not disturb."""
    folder = tmp_path / "kept"
    command = start_pulse("demo", "--folder", str(folder))
    command.wait_for("wait_2s")
    assert command.end(signal.SIGTERM) == 130
    assert command.processes() == []

    command = start_pulse("demo", "--folder", str(folder))
    assert command.wait() == 0
    assert_all_runs_completed(command)
    assert command.processes() == []
    assert (folder / "pg").is_dir()


async def test_keep_leaves_the_servers_up_until_ctrl_c(
    start_pulse: StartPulse, tmp_path: Path
) -> None:
    command = start_pulse("demo", "--keep")
    command.wait_for("until Ctrl-C")
    command.wait_for("Next")
    links = re.findall(r"http://\S+/t/workspace_\d/runs/run_\w+", command.stdout)
    assert len(set(links)) == 4
    for link in links:
        assert await asyncio.to_thread(status_of, link) == 200
    for label in ("Pages", "Temporal"):
        first_page = re.search(rf"^{label} +(http://\S+)", command.stdout, re.MULTILINE)
        assert first_page
        assert await asyncio.to_thread(status_of, first_page[1]) == 200

    found = re.search(r"psql '(.+)'", command.stdout)
    assert found
    parts = dict(part.split("=", 1) for part in found[1].split())
    opened = await asyncpg.connect(
        host=parts["host"], port=int(parts["port"]), user=parts["user"], database=parts["dbname"]
    )
    assert {link.rpartition("/")[2] for link in links} == {
        row["id"] for row in await opened.fetch("SELECT id FROM pulse_workflow_runs")
    }
    await opened.close()

    assert command.end(signal.SIGINT) == 0
    assert command.processes() == []
    assert list(tmp_path.iterdir()) == []
