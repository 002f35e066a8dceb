"""The fixtures, as a user's own pytest sees them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

CONFTEST = """
import pytest

pytest_plugins = ["pulse_temporal.testing.plugin"]


@pytest.fixture
def pulse_settings():
    return {"queue_prefix": "chosen"}


@pytest.fixture
def pulse_env(pulse_env):
    pulse_env.script_action("charge", returns={"ok": True})
    return pulse_env
"""

TESTS = """
from pulse_temporal.testing import PulseTestEnvironment

DEFINITION = {
    "name": "Later",
    "triggerType": "order.paid",
    "steps": [
        {"type": "delay", "name": "a week", "delayMs": 7 * 24 * 3_600_000},
        {"type": "action", "name": "charge"},
    ],
}


async def test_a_run(pulse_env: PulseTestEnvironment) -> None:
    result = await pulse_env.run(DEFINITION)
    assert result.context == {"charge": {"ok": True}}
    assert pulse_env.engine.options.queue_prefix == "chosen"


async def test_each_test_has_its_own_database(pulse_env: PulseTestEnvironment) -> None:
    assert (await pulse_env.engine.list_runs()).items == ()
    await pulse_env.run(DEFINITION)


def test_without_the_fixture_nothing_is_started() -> None:
    pass
"""


async def run_pytest(folder: Path, *options: str) -> str:
    """Run pytest in a folder and give what it said."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a small project with tests of its own."""
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_later.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


async def test_one_line_brings_the_fixtures(project: Path) -> None:
    said = await run_pytest(project, "-W", "error")

    assert "3 passed" in said, said


async def test_it_does_not_matter_how_long_loops_live(project: Path) -> None:
    said = await run_pytest(
        project,
        "-o",
        "asyncio_default_fixture_loop_scope=session",
        "-o",
        "asyncio_default_test_loop_scope=session",
    )

    assert "3 passed" in said, said
