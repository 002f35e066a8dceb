"""Folders, owner processes and bounded waits for the tests of the embedded servers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol, Unpack

import pytest
from pydantic import BaseModel

from tests.processes import Program, Programs, StartOptions

OWNER_PROGRAM = Path(__file__).with_name("owner_process.py")


class Report(BaseModel):
    """What an owner process prints when its servers are ready."""

    dsn: str
    temporal_address: str
    pids: tuple[int, int]
    child: int | None


class Owner:
    """An owner process and what it reported."""

    def __init__(self, program: Program) -> None:
        program.wait_for("}\n")
        self.report = Report.model_validate_json(program.stdout)
        self._program = program

    def end(self, number: int) -> int:
        """Send a signal to the owner alone and wait for its end."""
        return self._program.end(number)

    def press_ctrl_c(self) -> int:
        """Send SIGINT to its whole process group, as a terminal does; wait for its end."""
        os.killpg(self._program.pid, signal.SIGINT)
        return self._program.wait()


class StartOwner(Protocol):
    """Starts an owner process and waits until its servers are ready."""

    def __call__(self, folder: Path, *options: str, **how: Unpack[StartOptions]) -> Owner:
        """Return the owner; it is ended after the test."""
        ...


class Eventually(Protocol):
    """Waits until a claim is true."""

    async def __call__(self, claim: Callable[[], bool], *, seconds: float = 15.0) -> None:
        """Return as soon as ``claim()`` is true; fail after ``seconds``."""
        ...


@pytest.fixture
def folder() -> Generator[Path]:
    """Yield a short path (sockets need one) that everybody may cross and no one else uses."""
    made = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start_owner(programs: Programs) -> StartOwner:
    """Start owner processes; whatever is left of them is ended after the test."""

    def start(folder: Path, *options: str, **how: Unpack[StartOptions]) -> Owner:
        how = {"leash": True, "own_group": True, **how}
        return Owner(programs.start(str(OWNER_PROGRAM), str(folder), *options, **how))

    return start


@pytest.fixture
def eventually() -> Eventually:
    """Return the bounded wait."""

    async def wait(claim: Callable[[], bool], *, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if claim():
                return
            assert time.monotonic() < deadline, f"not true after {seconds} s"
            await asyncio.sleep(0.02)

    return wait
