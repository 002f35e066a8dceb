"""Run one server, and stop it when the owner is gone.

The watchdog is a program of its own, run by its path and with the standard library only: it
starts in about 20 ms and needs no package of the owner's environment.

    python -I -S watchdog.py IDENTITY SIGNAL:SECONDS[,SIGNAL:SECONDS...] PROGRAM [ARGUMENT...]

Standard input is a pipe whose only writer is the owner. When the pipe ends (by a close, an exit
or a kill -9), the server is stopped: each signal of the plan in turn is given its seconds, then
SIGKILL. The server's pid is printed to standard output as one line; what the server prints goes
to standard error. The exit status is the server's, or 128 + the signal that ended it.

On Linux the server also dies when the watchdog is killed (``PR_SET_PDEATHSIG``). Processes that
a killed server leaves behind are adopted, and ended before the watchdog exits: when the watchdog
has exited, nothing of the server is left (``tests/embedded/test_owner_death.py``).
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
"""Id of the owner's user and group inside the user namespace; any but 0, which is root."""

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
CAUGHT_SIGNALS = STOP_SIGNALS | {signal.SIGCHLD}
ORPHAN_SECONDS = 2.0
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_REFUSED = 70


def enter_namespace() -> None:
    """Become an ordinary user of a new user namespace; files still belong to the real user.

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
    # The kernel accepts a group map of an unprivileged process only after setgroups is denied.
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NAMESPACE_ID} {group} 1", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NAMESPACE_ID} {user} 1", encoding="ascii")


def control_process(option: int, value: int) -> None:
    """Call ``prctl`` on Linux; do nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def start_server(identity: str, command: Sequence[str], *, death_signal: int) -> int:
    """Fork, execute ``command`` in the child, and return its pid.

    Args:
        identity: ``same``, ``namespace`` (the caller has entered it) or ``UID:GID``.
        command: Absolute path of the program, then its arguments.
        death_signal: The signal that the server gets when this process dies.
    """
    parent = os.getpid()
    # Blocked until the child has dropped our handlers, which would swallow an early stop.
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
        # After setuid, which clears it. The watchdog may have died before this line: then the
        # signal never comes, and the child has another parent.
        control_process(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() == parent:
            os.execv(command[0], list(command))  # noqa: S606  # no shell is the point
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(EXIT_REFUSED)


def reap(server: int) -> tuple[int | None, bool]:
    """Collect children that have ended.

    Returns:
        The server's exit status if it has ended now, else None; and whether children are left.
    """
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
    """Kill all children of this process (on Linux; elsewhere they cannot be listed)."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return
    for child in children.split():
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


class Watch:
    """Waits for the end of one server or of its owner, whichever comes first."""

    def __init__(self, server: int, plan: Sequence[tuple[int, float]], *, wakeup: int) -> None:
        self.server = server
        self.plan = [*plan, (signal.SIGKILL, 5.0)]
        self.wakeup = wakeup
        self.stop_asked = False

    def run(self) -> int:
        """Return the server's exit status when it and its orphans are gone."""
        status = self.wait(None, until_asked=True)
        for number, seconds in self.plan:
            if status is not None:
                break
            os.kill(self.server, number)
            status = self.wait(time.monotonic() + seconds, until_asked=False)
        self.end_orphans()
        return EXIT_REFUSED if status is None else status

    def wait(self, deadline: float | None, *, until_asked: bool) -> int | None:
        """Wait for the server's end; return its status, or None at the deadline.

        With ``until_asked``, also return None when the owner has gone or asks to stop.
        """
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
            self.stop_asked: bool = True

    def end_orphans(self) -> None:
        """Wait up to 2 s for adopted processes to end by themselves, then kill them."""
        if self.has_orphans(ORPHAN_SECONDS):
            kill_children()
            self.has_orphans(ORPHAN_SECONDS)

    def has_orphans(self, seconds: float) -> bool:
        """Wait until no child is left; return True when there still is one after ``seconds``."""
        deadline = time.monotonic() + seconds
        while reap(self.server)[1]:
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            self.sleep(left, watch_owner=False)
        return False


def open_wakeup() -> int:
    """Turn signals into bytes on a pipe and return its read end, for ``select``."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    for number in CAUGHT_SIGNALS:
        signal.signal(number, lambda _number, _frame: None)  # without a handler, no byte comes
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def main(arguments: Sequence[str]) -> int:
    """Run the server of the command line; return the exit status."""
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
