"""Start one server under a watchdog, wait for its end and stop it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from signal import SIGKILL, Signals

from pulse_temporal.embedded import watchdog
from pulse_temporal.errors import EmbeddedServiceError

LOG_LINES = 15
"""Lines of a server's log that an error message quotes."""

LOG_COLUMNS = 400
POLL_SECONDS = 0.01
KILL_LIMIT = timedelta(seconds=5)
SAME_USER = "same"
OWN_NAMESPACE = "namespace"

StopPlan = Sequence[tuple[Signals, timedelta]]
"""Signals that stop a server, each with the time to wait after it; SIGKILL follows by itself."""

private_descriptors: set[int] = set()
"""Descriptors that keep servers alive or folders locked.

A forked child that held a copy would keep them so after the owner's death
(``tests/embedded/test_owner_death.py::a_forked_child_does_not_keep_the_servers_alive``).
"""


def close_private_descriptors() -> None:
    """Close the private descriptors; called in every forked child."""
    for descriptor in private_descriptors:
        with suppress(OSError):
            os.close(descriptor)
    private_descriptors.clear()


os.register_at_fork(after_in_child=close_private_descriptors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to run one server.

    Attributes:
        command: Absolute path of the program, then its arguments.
        environment: The whole environment of the server.
        log: File for everything that the server prints; the log of the previous start is kept
            beside it, with ``.1`` at its end.
        identity: ``same``, ``namespace`` or ``UID:GID``, see ``identity.py``.
        stop: How to stop the server.
        lock: Descriptor of the folder's lock. The server inherits it, so the folder stays
            locked until its last process has ended.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    identity: str
    stop: StopPlan
    lock: int


class ServerProcess:
    """A running server, its watchdog and the pipe that keeps both alive."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.limit: timedelta = sum((wait for _, wait in launch.stop), 3 * KILL_LIMIT)
        with suppress(FileNotFoundError):
            launch.log.replace(launch.log.with_name(f"{launch.log.name}.1"))
        read_end, self.keepalive = os.pipe()
        private_descriptors.add(self.keepalive)
        try:
            with launch.log.open("wb") as log:
                self.process = start_watchdog(launch, stdin=read_end, log=log.fileno())
        except BaseException:
            self.release()
            raise
        finally:
            os.close(read_end)

    @cached_property
    def pid(self) -> int:
        """Process id of the server itself, not of its watchdog; 0 if it never started.

        Read once and kept, so it must not be asked for before the server is ready.
        """
        return read_pid(self.process)

    @property
    def exit_status(self) -> int | None:
        """Exit status of the server once it and all its processes have ended; None before."""
        return self.process.poll()

    def log_text(self) -> str:
        """Return everything that the server has printed so far."""
        try:
            return self.launch.log.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            return f"(its log cannot be read: {error})"

    def failure(self, message: str) -> EmbeddedServiceError:
        """Return an error with ``message`` and the last lines of the log."""
        # Temporal ends with the stacks of all its goroutines; the reason stands before them.
        before_stack = self.log_text().partition("\ngoroutine ")[0]
        lines = [f"  {line[:LOG_COLUMNS]}" for line in before_stack.splitlines()[-LOG_LINES:]]
        return EmbeddedServiceError(
            "\n".join([f"{message} Last lines of {self.launch.log}:", *lines])
        )

    async def wait(self, limit: timedelta) -> int | None:
        """Wait for the end; return the exit status, or None if ``limit`` passes first."""
        deadline = time.monotonic() + limit.total_seconds()
        while True:
            status = self.exit_status
            if status is not None or time.monotonic() > deadline:
                return status
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Stop the server and wait until none of its processes is left, if it has not ended.

        The watchdog needs no more help once its pipe is closed, so a canceled caller leaves no
        server behind.
        """
        self.release()
        status = await self.wait(self.limit)
        pids = {self.pid, self.process.pid} - {0}
        if status is None:  # even the watchdog hangs
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)
            await self.wait(KILL_LIMIT)

    def release(self) -> None:
        """Close the pipe, upon which the watchdog stops the server."""
        if self.keepalive in private_descriptors:
            private_descriptors.discard(self.keepalive)
            os.close(self.keepalive)


def start_watchdog(launch: Launch, *, stdin: int, log: int) -> subprocess.Popen[bytes]:
    """Start the watchdog, in a session of its own so that Ctrl-C reaches the owner only."""
    plan = ",".join(f"{int(number)}:{wait.total_seconds()}" for number, wait in launch.stop)
    return subprocess.Popen(  # noqa: S603  # absolute paths, no shell
        watchdog_command(launch.identity, plan, launch.command),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=log,
        env=dict(launch.environment),
        cwd="/",
        pass_fds=(launch.lock,),
        start_new_session=True,
    )


def watchdog_command(identity: str, plan: str, command: Sequence[str]) -> list[str]:
    """Return the command line that runs ``command`` under a watchdog, see ``watchdog.py``."""
    program = str(Path(watchdog.__file__).absolute())
    return [sys.executable, "-I", "-S", program, identity, plan, *command]


def read_pid(process: subprocess.Popen[bytes]) -> int:
    """Return the server's pid, which the watchdog prints first; 0 when it has not."""
    if process.stdout is None:
        return 0
    with process.stdout as report:
        os.set_blocking(report.fileno(), False)
        try:
            return int(os.read(report.fileno(), 32) or b"0")
        except BlockingIOError:
            return 0
