"""The tests' own processes: nothing holds them up, nothing of them stays, their words are kept."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.harness import eventually
from tests.processes import PATIENCE_SECONDS, Program, Programs

ROOT = Path(__file__).parents[2]

TALKER = """
import sys, time
for stream in (sys.stdout, sys.stderr):
    stream.write("x" * 1_000_000)
    stream.flush()
print("\\nready", flush=True)
time.sleep(3600)
"""
FAILING = """
from pathlib import Path
from tests.processes import Programs

def test_that_fails(tmp_path: Path) -> None:
    with Programs(tmp_path / "programs") as programs:
        programs.start("-c", "print('the last words')").wait()
        assert False
"""


@pytest.fixture
def talker(programs: Programs) -> Program:
    """Start a program that says more than a pipe holds, and then that it is ready."""
    return programs.start("-c", TALKER)


async def is_in_state(pid: int, *, stopped: bool) -> bool:
    """Return whether a process is stopped, or is not."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return (stat.rpartition(")")[2].split()[0] == "T") is stopped


async def test_a_program_that_talks_a_lot_is_not_held_up(talker: Program) -> None:
    await talker.says("ready")
    assert talker.stdout.count("x") == talker.stderr.count("x") == 1_000_000


async def test_a_frozen_program_stands_still_and_can_be_killed(talker: Program) -> None:
    await talker.says("ready")
    for stop, is_stopped in ((talker.freeze, True), (talker.thaw, False), (talker.freeze, True)):
        stop()
        await eventually(lambda wanted=is_stopped: is_in_state(talker.pid, stopped=wanted))
    await talker.kill()
    assert not Path(f"/proc/{talker.pid}").exists()


async def test_a_program_that_ends_without_its_word_fails_the_wait(programs: Programs) -> None:
    silent = programs.start("-c", "print('something else')")
    with pytest.raises(AssertionError, match="ended and never said 'ready'"):
        await silent.says("ready")


async def test_what_is_left_is_ended_and_reaped(tmp_path: Path) -> None:
    with Programs(tmp_path / "programs") as programs:
        deaf = programs.start(
            "-c",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('ready', flush=True); time.sleep(3600)",
        )
        await deaf.says("ready")
        deaf.terminate()
    assert deaf.wait() == -signal.SIGKILL
    assert not Path(f"/proc/{deaf.pid}").exists()


async def test_a_terminal_is_one_and_its_text_is_kept(programs: Programs) -> None:
    shown = programs.start("-c", "print(__import__('sys').stdout.isatty())", terminal=True)
    assert await shown.ended() == 0
    assert shown.stdout == "True\r\n"


async def test_a_program_ends_with_its_leash(programs: Programs) -> None:
    held = programs.start("-c", "import sys; sys.stdin.read(); print('let go')", leash=True)
    assert held.process.stdin is not None
    held.process.stdin.close()
    assert await held.ended() == 0
    assert held.stdout == "let go\n"


async def test_a_test_that_fails_shows_what_its_programs_printed(
    programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(FAILING, encoding="utf-8")
    pytest_run = programs.start(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"),
        cwd=tmp_path,
        environment={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert await pytest_run.ended() == 1
    assert "the last words" in pytest_run.stdout


def test_patience_is_shorter_than_a_test(pytestconfig: pytest.Config) -> None:
    """Otherwise the test ends without saying which program it waited for."""
    assert float(pytestconfig.getini("timeout")) > PATIENCE_SECONDS
