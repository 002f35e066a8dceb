"""Make and lock the folder of the servers' data, which one process may use at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from pulse_temporal.embedded.process import private_descriptors
from pulse_temporal.errors import EmbeddedServiceError

HANDOVER_LIMIT = timedelta(seconds=20)
"""How long a new owner waits for the servers of a dead one to finish stopping."""

POLL_SECONDS = 0.02


def make_folder(folder: Path | str) -> Path:
    """Return the absolute path of ``folder``; create it when it is missing.

    A new folder is closed to other users, and ignored by git. When root creates it, others may
    cross but not list it, as Postgres may have to run as another user. Mode and content of a
    folder that exists are left alone.

    Raises:
        EmbeddedServiceError: It cannot be created or written to, or is not a folder.
    """
    path = Path(folder).expanduser().absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
        (path / ".gitignore").write_text("*\n", encoding="ascii")
    except FileExistsError:
        if not path.is_dir():
            raise EmbeddedServiceError(f"{path} is not a folder; name another one.") from None
    except OSError as error:
        raise EmbeddedServiceError(f"The data folder {path} cannot be made: {error}.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise EmbeddedServiceError(f"The data folder {path} is not writable for this user.")
    return path


@asynccontextmanager
async def lock_folder(folder: Path, *, service: str) -> AsyncGenerator[int]:
    """Lock the data of ``service`` in ``folder`` inside the block; yield the lock's descriptor.

    The server inherits the descriptor, and the lock is free only when its last holder has
    ended. So when an owner was killed, a new one waits until the watchdog has stopped the
    server (``tests/embedded/test_owner_death.py::a_new_owner_takes_over_from_a_killed_one``).

    Raises:
        EmbeddedServiceError: A living process owns the data; the message names it.
    """
    path = folder / f"{service}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedServiceError(f"The lock file {path} cannot be opened: {error}.") from error
    private_descriptors.add(descriptor)
    try:
        await take_lock(descriptor, folder=folder, service=service)
        yield descriptor
    finally:
        private_descriptors.discard(descriptor)
        os.close(descriptor)


async def take_lock(descriptor: int, *, folder: Path, service: str) -> None:
    """Lock the open lock file and write this process's pid into it.

    Raises:
        EmbeddedServiceError: Another process holds it, which is alive or does not end in time.
    """
    deadline = time.monotonic() + HANDOVER_LIMIT.total_seconds()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Of a dead owner, the server is still stopping. With no pid yet, the owner has just
            # taken the lock and is alive.
            owner = read_owner(descriptor)
            if owner is None or is_running(owner) or time.monotonic() > deadline:
                raise EmbeddedServiceError(
                    f"The {service} data in {folder} is in use by process {owner or '(unknown)'}."
                    " Stop that process, or choose another folder."
                ) from None
            await asyncio.sleep(POLL_SECONDS)
        else:
            break
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def read_owner(descriptor: int) -> int | None:
    """Return the pid in a lock file; None while there is none."""
    with suppress(ValueError):
        return int(os.pread(descriptor, 32, 0))
    return None


def is_running(pid: int) -> bool:
    """Return whether a process is alive; a zombie is not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return False
    except OSError:  # another user's process, or no /proc (macOS): it exists
        return True
    # The state follows the program's name, which stands in parentheses and may contain some.
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
