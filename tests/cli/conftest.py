"""Runs the real command in a process of its own."""

from __future__ import annotations

import os
import pty
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Protocol

import pytest

LIMIT_SECONDS = 60.0


class Command:
    """A ``pulse`` process, its output so far, and the servers that it has started.

    Attributes:
        mark: In the environment of the process and of all that it starts.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], outputs: Mapping[str, IO[bytes]], *, mark: str
    ) -> None:
        self.process = process
        self.mark = mark
        self._outputs = outputs
        self._texts = dict.fromkeys(outputs, b"")
        self._open = set(outputs)
        self._deadline = time.monotonic() + LIMIT_SECONDS

    @property
    def stdout(self) -> str:
        """What it has printed on standard output and was read."""
        return self._texts["stdout"].decode()

    @property
    def stderr(self) -> str:
        """What it has printed on standard error and was read."""
        return self._texts["stderr"].decode()

    def read_until(self, text: str) -> None:
        """Read until ``text`` was printed on either output."""
        while not any(text.encode() in seen for seen in self._texts.values()):
            assert self._open, f"{text!r} was never printed: {self._texts}"
            self._read()

    def wait(self) -> int:
        """Read to the end and give the exit code."""
        while self._open:
            self._read()
        return self.process.wait(LIMIT_SECONDS)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def processes(self) -> list[str]:
        """Give the command lines of everything that it started and that lives."""
        found: list[str] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if self.mark.encode() in environment and int(folder.name) != self.process.pid:
                found.append(line)
        return found

    def _read(self) -> None:
        left = self._deadline - time.monotonic()
        assert left > 0, f"not over in time: {self._texts}"
        ready, _, _ = select.select([self._outputs[name] for name in self._open], [], [], left)
        for name in [name for name in self._open if self._outputs[name] in ready]:
            try:
                chunk = os.read(self._outputs[name].fileno(), 65536)
            except OSError:  # how a terminal says that nobody writes any more
                chunk = b""
            self._texts[name] += chunk
            if not chunk:
                self._open.discard(name)


class StartPulse(Protocol):
    """Starts ``pulse`` with arguments."""

    def __call__(self, *arguments: str, terminal: bool = False, **environment: str) -> Command:
        """Give the process; what is left of it is ended after the test."""
        ...


@pytest.fixture
def start_pulse(tmp_path: Path) -> Generator[StartPulse]:
    """Start ``pulse`` processes; their temporary folders are in ``tmp_path``."""
    with ExitStack() as stack:

        def start(*arguments: str, terminal: bool = False, **environment: str) -> Command:
            mark = secrets.token_hex(8)
            master, slave = pty.openpty() if terminal else (-1, subprocess.PIPE)
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "pulse_temporal.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=slave,
                stderr=subprocess.PIPE,
                env={
                    **os.environ,
                    "TERM": "xterm",
                    "COLUMNS": "100",
                    "LINES": "35",
                    "TMPDIR": str(tmp_path),
                    "PULSE_TEST_MARK": mark,
                    **environment,
                },
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            if terminal:
                os.close(slave)
                stdout = stack.enter_context(open(master, "rb", buffering=0))  # noqa: PTH123
            else:
                assert process.stdout is not None
                stdout = process.stdout
            assert process.stderr is not None
            return Command(process, {"stdout": stdout, "stderr": process.stderr}, mark=mark)

        yield start
