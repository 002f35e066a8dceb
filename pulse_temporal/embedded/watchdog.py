"""Stands between an owner and one server, and stops the server when the owner is gone.

It runs as a program of its own, by path and with the standard library only, so that it is up
in about 20 ms and needs no package of the owner's environment:

    python -I -S watchdog.py IDENTITY SIGNAL:SECONDS[,SIGNAL:SECONDS...] PROGRAM [ARGUMENT...]

Standard input is a pipe whose only writer is the owner. Its end (a close, an exit, a kill -9)
stops the server: each signal of the plan in turn, each with its time, at last SIGKILL. The
server's pid goes to standard output as one line; what the server prints goes to standard
error. The exit status is the server's, or 128 + the signal that ended it.

On Linux the server also dies when the watchdog itself is killed (``PR_SET_PDEATHSIG``), and
processes that a killed server leaves behind are adopted and ended before the watchdog exits,
so "the watchdog has exited" means "nothing of the server is left".
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

NAMESPACE_ID = 1000
"""What the owner's user and group are called inside the user namespace: any id but root's."""

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
CAUGHT_SIGNALS = STOP_SIGNALS | {signal.SIGCHLD}
ORPHAN_SECONDS = 2.0
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_REFUSED = 70


def enter_namespace() -> None:
    """Become an ordinary user of a new user namespace; files stay owned by the real user.

    Raises:
        OSError: The kernel or the container's policy denies user namespaces.
    """
    user, group = os.geteuid(), os.getegid()
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None:
        raise OSError("this system has no user namespaces")
    if unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NAMESPACE_ID} {group} 1", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NAMESPACE_ID} {user} 1", encoding="ascii")


def control_process(option: int, value: int) -> None:
    """Call ``prctl`` where there is one; elsewhere the watchdog does without."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def start_server(identity: str, command: Sequence[str], *, death_signal: int) -> int:
    """Fork and execute ``command`` and give its pid.

    Args:
        identity: ``same``, ``namespace`` (the caller has entered it) or ``UID:GID``.
        command: Absolute path of the program, then its arguments.
        death_signal: What the server gets when this process dies.
    """
    parent = os.getpid()
    # Blocked until the fork has dropped our handlers: they would swallow an early stop.
    signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT_SIGNALS)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT_SIGNALS)
        return pid
    try:
        for number in (*CAUGHT_SIGNALS, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT_SIGNALS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.umask(0o077)
        if ":" in identity:
            user, group = identity.split(":")
            os.setgroups([])
            os.setgid(int(group))
            os.setuid(int(user))
        control_process(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() == parent:
            os.execv(command[0], list(command))  # noqa: S606  # no shell is the point
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(EXIT_REFUSED)


def reap(server: int) -> tuple[int | None, bool]:
    """Collect ended children; give the server's status, if it ended now, and "some are left"."""
    status: int | None = None
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, False
        if pid == 0:
            return status, True
        if pid == server:
            code = os.waitstatus_to_exitcode(wait_status)
            status = code if code >= 0 else 128 - code


def kill_children() -> None:
    """Kill whatever is still a child of this process (Linux only)."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return
    for child in children.split():
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


class Watch:
    """One server under supervision: wait for it or for the owner's end, whichever is first."""

    def __init__(self, server: int, plan: Sequence[tuple[int, float]], *, wakeup: int) -> None:
        self.server = server
        self.plan = [*plan, (signal.SIGKILL, 5.0)]
        self.wakeup = wakeup
        self.stop_asked = False

    def run(self) -> int:
        """Stay until the server and its orphans are gone; give its exit status."""
        status = self.wait(None, until_asked=True)
        for number, seconds in self.plan:
            if status is not None:
                break
            os.kill(self.server, number)
            status = self.wait(time.monotonic() + seconds, until_asked=False)
        self.end_orphans()
        return EXIT_REFUSED if status is None else status

    def wait(self, deadline: float | None, *, until_asked: bool) -> int | None:
        """Wait for the server's end; give its status, or None at the deadline or when asked."""
        while True:
            status, _ = reap(self.server)
            if status is not None or (until_asked and self.stop_asked):
                return status
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            self.sleep(left, watch_owner=until_asked)

    def sleep(self, seconds: float | None, *, watch_owner: bool) -> None:
        """Sleep until a signal arrives, the owner's pipe ends or the time is over."""
        sources = [self.wakeup, 0] if watch_owner else [self.wakeup]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self.wakeup in ready and STOP_SIGNALS.intersection(os.read(self.wakeup, 64)):
            self.stop_asked = True
        if 0 in ready and not os.read(0, 64):
            self.stop_asked = True

    def end_orphans(self) -> None:
        """Give adopted processes a moment to end by themselves, then kill them."""
        if self.has_orphans(ORPHAN_SECONDS):
            kill_children()
            self.has_orphans(ORPHAN_SECONDS)

    def has_orphans(self, seconds: float) -> bool:
        """Wait until no child is left; True when there still is one after ``seconds``."""
        deadline = time.monotonic() + seconds
        while reap(self.server)[1]:
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            self.sleep(left, watch_owner=False)
        return False


def open_wakeup() -> int:
    """Turn signals into bytes on a pipe and give the end to read from."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    for number in CAUGHT_SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def main(arguments: Sequence[str]) -> int:
    """Run the server named on the command line to its end."""
    identity, plan_text, *command = arguments
    plan: list[tuple[int, float]] = []
    for part in plan_text.split(","):
        number, seconds = part.split(":")
        plan.append((int(number), float(seconds)))
    try:
        if identity == "namespace":
            enter_namespace()
    except OSError as error:
        os.write(2, f"no user namespace: {error}\n".encode())
        return EXIT_REFUSED
    control_process(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = open_wakeup()
    server = start_server(identity, command, death_signal=plan[0][0])
    with suppress(BrokenPipeError):
        os.write(1, f"{server}\n".encode())
    return Watch(server, plan, wakeup=wakeup).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
