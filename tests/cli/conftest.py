"""Runs the real command in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import pytest
from typing_extensions import override

from pulse_temporal.cli.app import main
from tests.harness import TENANT, PulseTest
from tests.processes import Program, Programs


class Told(NamedTuple):
    """What a command has printed, and its exit code."""

    stdout: str
    stderr: str
    status: int

    @property
    def lines(self) -> list[str]:
        """The lines of its result."""
        return self.stdout.splitlines()


Do: TypeAlias = Callable[..., Coroutine[object, object, Told]]
"""Runs ``pulse`` in a new project."""


class Ask(Protocol):
    """Runs ``pulse`` with arguments to its end."""

    def __call__(
        self, *arguments: str, stdin: str = "", columns: int | None = None
    ) -> Coroutine[object, object, Told]:
        """Return what it has printed; with columns, to a terminal of this width."""
        ...


class StartPulse(Protocol):
    """Starts ``pulse`` with arguments."""

    def __call__(self, *arguments: str, terminal: bool = False, **environment: str) -> Program:
        """Return the process; what is left of it is ended after the test."""
        ...


@pytest.fixture
def start_pulse(tmp_path: Path, programs: Programs) -> StartPulse:
    """Start ``pulse`` processes; their temporary folders are in ``tmp_path``."""

    def start(*arguments: str, terminal: bool = False, **environment: str) -> Program:
        usual = {"TERM": "xterm", "COLUMNS": "100", "LINES": "35", "TMPDIR": str(tmp_path)}
        return programs.start(
            "-m",
            "pulse_temporal.cli",
            *arguments,
            terminal=terminal,
            environment={**os.environ, **usual, **environment},
        )

    return start


@pytest.fixture
def ask(idle_pulse: PulseTest, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run commands on the servers of the test, in a thread; the usual tenant is named."""
    monkeypatch.setenv("DATABASE_URL", idle_pulse.dsn)
    monkeypatch.setenv("TEMPORAL_ADDRESS", idle_pulse.temporal_address)
    monkeypatch.setenv("PULSE_QUEUE_PREFIX", idle_pulse.engine.options.queue_prefix)
    monkeypatch.setenv("PULSE_TENANT", TENANT)
    monkeypatch.delenv("CI", raising=False)

    async def run(*arguments: str, stdin: str = "", columns: int | None = None) -> Told:
        return await asyncio.to_thread(tell, monkeypatch, arguments, stdin, columns)

    return run


class Screen(StringIO):
    """Says that it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


def tell(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], stdin: str, columns: int | None
) -> Told:
    """Run the command line in this process, as ``pulse`` does, and give what it has printed."""
    is_screen = columns is not None
    out, err = (Screen(), Screen()) if is_screen else (StringIO(), StringIO())
    with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["pulse", *arguments])
        patch.setattr(sys, "stdin", Screen(stdin) if is_screen else StringIO(stdin))
        patch.setenv("COLUMNS", str(columns or 80))
        patch.setenv("TERM", "xterm-256color")
        try:
            status = main()
        except SystemExit as ended:  # the command line was wrong, which cyclopts has told
            status = int(ended.code or 0)
    return Told(out.getvalue(), err.getvalue(), status)


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project in an empty home, and work in it; no server is named."""
    for name in list(os.environ):
        if name.startswith(("PULSE_", "TEMPORAL_", "DATABASE_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    made = tell(monkeypatch, ("init", "hello"), "", None)
    assert made.status == 0
    monkeypatch.chdir(tmp_path / "hello")
    return tmp_path / "hello"


@pytest.fixture
def do(hello: Path, monkeypatch: pytest.MonkeyPatch) -> Do:
    """Run commands in the project, as in a second terminal."""
    assert hello == Path.cwd()

    async def run(*arguments: str) -> Told:
        return await asyncio.to_thread(tell, monkeypatch, arguments, "", None)

    return run
