"""Folders, owner processes and bounded waits for the tests of the embedded servers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import BaseModel

OWNER_PROGRAM = Path(__file__).with_name("owner_process.py")


class Report(BaseModel):
    """What an owner process prints when its servers are ready."""

    dsn: str
    temporal_address: str
    pids: tuple[int, int]
    child: int | None


class Owner:
    """An owner process and what it reported."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the owner ended without a report"
        self.report = Report.model_validate_json(line)

    def end(self, number: int) -> int:
        """Send a signal to the owner alone and wait for its end."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def press_ctrl_c(self) -> int:
        """Send SIGINT to its whole process group, as a terminal does; wait for its end."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)


class StartOwner(Protocol):
    """Starts an owner process and waits until its servers are ready."""

    def __call__(
        self,
        folder: Path,
        *options: str,
        python: str = sys.executable,
        user: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Owner:
        """Give the owner; it is ended after the test."""
        ...


class Eventually(Protocol):
    """Waits until a claim is true."""

    async def __call__(self, claim: Callable[[], bool], *, seconds: float = 15.0) -> None:
        """Return as soon as ``claim()`` is true; fail after ``seconds``."""
        ...


@pytest.fixture
def folder() -> Generator[Path]:
    """Give a short path (sockets need one) that everybody may cross and no one else uses."""
    made = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start_owner() -> Generator[StartOwner]:
    """Start owner processes; whatever is left of them is ended after the test."""
    with ExitStack() as stack:

        def start(
            folder: Path,
            *options: str,
            python: str = sys.executable,
            user: int | None = None,
            environment: Mapping[str, str] | None = None,
        ) -> Owner:
            command: Sequence[str] = [python, str(OWNER_PROGRAM), str(folder), *options]
            process = stack.enter_context(
                subprocess.Popen(  # noqa: S603
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [],
                    env=dict(os.environ if environment is None else environment),
                )
            )
            stack.callback(process.kill)
            return Owner(process)

        yield start


@pytest.fixture
def eventually() -> Eventually:
    """Give the bounded wait."""

    async def wait(claim: Callable[[], bool], *, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if claim():
                return
            assert time.monotonic() < deadline, f"not true after {seconds} s"
            await asyncio.sleep(0.02)

    return wait
