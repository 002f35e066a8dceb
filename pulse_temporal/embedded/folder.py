"""The folder that holds the servers' data: made once, used by one owner at a time."""

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
    """Give the absolute path of ``folder``, creating it when it is missing.

    A new folder is closed to others (for root: it may be crossed but not listed, because
    Postgres may have to run as another user) and ignores itself in git. The mode and the
    content of a folder that exists are left alone.

    Raises:
        EmbeddedServiceError: It cannot be created or written to, or is no folder.
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
    """Own the data of ``service`` in ``folder`` inside the block; gives the lock's descriptor.

    The server inherits the descriptor, and the lock ends with the last holder. When its
    owner was killed, the lock is therefore free as soon as the watchdog has stopped the
    server; that moment is waited for.

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
    """Lock the open lock file and write this process's pid into it."""
    deadline = time.monotonic() + HANDOVER_LIMIT.total_seconds()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
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
    """Read the pid in a lock file; None while there is none."""
    with suppress(ValueError):
        return int(os.pread(descriptor, 32, 0))
    return None


def is_running(pid: int) -> bool:
    """True while the process lives; one that ended and was not yet waited for does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
