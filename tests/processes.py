"""Processes of the tests: started, heard, signalled, and always ended and reaped.

What a program prints goes to files, so it is never held up by a pipe that nobody empties, and
what it has printed before it was killed is there. When a test fails, pytest shows it under
"Captured stdout teardown".
"""

from __future__ import annotations

import asyncio
import os
import pty
import secrets
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread
from typing import Self, TypedDict, Unpack

from typing_extensions import override

GLANCE_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
SHOWN_LINES = 200
SHOWN_COLUMNS = 500
MARK = "MARK_OF_TEST"


class Running(ABC):
    """A process that somebody here has started.

    Attributes:
        pid: Its id.
    """

    pid: int

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Whether it has not ended; a frozen process is alive."""

    @abstractmethod
    async def ended(self) -> int:
        """Wait for its end and return its exit status, negative after a signal."""

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when the process has ended."""
        if self.is_alive:  # the id of one that was reaped may be a stranger's
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop in good order."""
        self.send(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it from running, without its knowledge."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.send(signal.SIGCONT)

    async def kill(self) -> None:
        """Kill it at once, as a machine that loses its power does, and wait for its end."""
        self.send(signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL


class Fork(Running):
    """A process of ``multiprocessing``'s fork server, for many that start fast."""

    def __init__(self, process: ForkServerProcess) -> None:
        process.start()
        assert process.pid is not None
        self.pid = process.pid
        self._process = process

    @property
    @override
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @override
    async def ended(self) -> int:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


class Program(Running):
    """A Python program in a process of its own; see ``Programs.start``.

    Attributes:
        name: What it is called where its output is shown.
        process: For its standard input, if that is a pipe.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        outputs: tuple[Path, Path],
        copying: Thread | None,
        mark: str,
    ) -> None:
        self.name = outputs[0].stem
        self.process = process
        self.pid = process.pid
        self._outputs = outputs
        self._copying = copying
        self._mark = mark

    @property
    def stdout(self) -> str:
        """What it has printed on standard output."""
        return _read(self._outputs[0])

    @property
    def stderr(self) -> str:
        """What it has printed on standard error."""
        return _read(self._outputs[1])

    @property
    @override
    def is_alive(self) -> bool:
        return self.process.poll() is None

    async def says(self, text: str) -> None:
        """Wait until it has printed ``text``, on either output."""
        await asyncio.to_thread(self.wait_for, text)

    @override
    async def ended(self) -> int:
        return await asyncio.to_thread(self.wait)

    def wait_for(self, text: str) -> None:
        """Wait as ``says`` does, without an event loop."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            is_alive = self.is_alive  # before the look: what it says last must not be missed
            if text in self.stdout or text in self.stderr:
                return
            assert is_alive, f"{self.name} ended and never said {text!r}"
            assert time.monotonic() < deadline, f"{self.name} did not say {text!r} in time"
            time.sleep(GLANCE_SECONDS)

    def wait(self) -> int:
        """Wait as ``ended`` does, without an event loop."""
        status = self.process.wait(PATIENCE_SECONDS)
        if self._copying is not None:
            self._copying.join(PATIENCE_SECONDS)
        return status

    def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.send(number)
        return self.wait()

    def processes(self) -> list[str]:
        """Return the command lines of everything that it has started and that lives."""
        found: list[str] = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                environment = (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if self._mark.encode() in environment and int(folder.name) != self.pid:
                    found.append(line)
        return found

    def close(self) -> None:
        """End it, whatever it does, and show what it has printed."""
        self.send(signal.SIGKILL)
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        self.wait()
        for kind, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                last = text.splitlines()[-SHOWN_LINES:]
                shown = "\n".join(line[:SHOWN_COLUMNS] for line in last)
                sys.stdout.write(f"---- {kind} of {self.name}\n{shown}\n")


class StartOptions(TypedDict, total=False):
    """How a program is started, where it differs from the usual.

    Attributes:
        python: The interpreter; usually this one.
        environment: All of it; usually that of the tests.
        cwd: Its working directory.
        leash: Its standard input is a pipe; usually it is empty.
        terminal: Its standard output is a terminal.
        user: Its user and group, which only root can choose.
        own_group: It leads a process group, as in an interactive shell.
    """

    python: str
    environment: Mapping[str, str]
    cwd: Path
    leash: bool
    terminal: bool
    user: int | None
    own_group: bool


class Programs:
    """The programs of a test; whoever is left at the end of the block is killed.

    Args:
        folder: For their output; made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._numbers = count(1)
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        """Return the programs."""
        return self

    def __exit__(self, *_: object) -> None:
        """End and reap all; what they have printed is shown when the test failed."""
        for program in reversed(self._programs):
            program.close()

    def start(self, *arguments: str, **options: Unpack[StartOptions]) -> Program:
        """Start a Python program.

        Args:
            arguments: Of the interpreter: a file, or ``-m`` and a module, and what follows.
            options: Where it differs from the usual.
        """
        name = f"{next(self._numbers)}-{_name_of(arguments)}"
        outputs = (self._folder / f"{name}.out", self._folder / f"{name}.err")
        mark = secrets.token_hex(8)
        terminal = pty.openpty() if options.get("terminal") else None
        user = options.get("user")
        with outputs[0].open("wb", buffering=0) as out, outputs[1].open("wb", buffering=0) as err:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [options.get("python", sys.executable), *arguments],
                stdin=subprocess.PIPE if options.get("leash") else subprocess.DEVNULL,
                stdout=out if terminal is None else terminal[1],
                stderr=err,
                cwd=options.get("cwd"),
                env={**options.get("environment", os.environ), MARK: mark},
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                start_new_session=options.get("own_group", False),
            )
        copying = None
        if terminal is not None:
            os.close(terminal[1])
            copying = Thread(target=_copy, args=(terminal[0], outputs[0]))
            copying.start()
        program = Program(process, outputs=outputs, copying=copying, mark=mark)
        self._programs.append(program)
        return program


def children(pid: int) -> list[tuple[int, str]]:
    """Return the processes that a process has started, each with its command line."""
    found: list[tuple[int, str]] = []
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for child in listed:
        with suppress(OSError):
            line = Path(f"/proc/{child}/cmdline").read_bytes()
            found.append((int(child), line.replace(b"\0", b" ").decode(errors="replace")))
    return found


def kill_at_once(pid: int) -> bool:
    """Send SIGKILL; return False when the process is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _read(output: Path) -> str:
    """Return a file as it is: a terminal's line ends stay."""
    return output.read_bytes().decode(errors="replace")


def _name_of(arguments: tuple[str, ...]) -> str:
    shown = next((each for each in arguments if not each.startswith("-")), "code")
    return "code" if "\n" in shown else Path(shown).stem[:40]


def _copy(terminal: int, output: Path) -> None:
    """Copy what is written to a terminal, until nobody can write to it any more."""
    with output.open("wb", buffering=0) as file, suppress(OSError):  # as a terminal tells it
        while chunk := os.read(terminal, 65_536):
            file.write(chunk)
    os.close(terminal)
