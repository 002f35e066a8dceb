"""Root and ordinary users: Postgres runs for both."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

import pulse_temporal
from pulse_temporal.embedded.binaries import find_postgres, find_temporal
from tests.embedded.conftest import Owner, StartOwner

NOBODY = 65534
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changes users, which only root can"
)


def can_execute(program: str, *, user: int) -> bool:
    """True when ``user`` can run ``program``."""
    try:
        command = [program, "--version"]
        done = subprocess.run(command, user=user, group=user, extra_groups=[], check=False)  # noqa: S603
    except PermissionError:
        return False
    return done.returncode == 0


def python_for(user: int) -> str:
    """Return a Python of this version that ``user`` can run, or skip the test."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        if program is not None and can_execute(program, user=user):
            return program
    pytest.skip(f"user {user} can execute no {version}")


def environment_for_others() -> dict[str, str]:
    """Return an environment in which another Python finds the same packages and programs."""
    packages = [Path(module.__path__[0]).parent for module in (pulse_temporal, asyncpg)]
    return {
        "PYTHONPATH": os.pathsep.join(map(str, packages)),
        "PULSE_PG_BIN": str(find_postgres().folder),
        "PULSE_TEMPORAL_BIN": str(find_temporal()),
        "PATH": os.defpath,
    }


async def user_of(owner: Owner) -> int:
    """Check that the owner's Postgres answers; give the user that it runs as."""
    connection = await asyncpg.connect(owner.report.dsn, timeout=10)
    try:
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()
    return owner_of(Path(f"/proc/{owner.report.pids[0]}"))


def owner_of(path: Path) -> int:
    """Return the user id of a file's or process's owner."""
    return path.lstat().st_uid


def owners_below(folder: Path) -> set[int]:
    """Return the user ids of everything in ``folder``."""
    return {owner_of(path) for path in folder.rglob("*")}


async def test_an_ordinary_user_runs_the_servers(folder: Path, start_owner: StartOwner) -> None:
    """No privilege is needed, and all files belong to that user."""
    os.chown(folder, NOBODY, NOBODY)
    owner = start_owner(
        folder / "data",
        python=python_for(NOBODY),
        user=NOBODY,
        environment=environment_for_others(),
    )
    assert await user_of(owner) == NOBODY
    assert owner.end(signal.SIGINT) != 0
    assert owners_below(folder) == {NOBODY}


async def test_root_keeps_its_files_where_user_namespaces_are_allowed(
    folder: Path, start_owner: StartOwner
) -> None:
    """Postgres sees an ordinary user; outside everything is root's, in a closed folder too."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    owner = start_owner(closed / "data")
    assert await user_of(owner) == 0
    owner.end(signal.SIGINT)
    assert owners_below(closed) == {0}


@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="needs seccomp")
async def test_root_steps_down_where_user_namespaces_are_denied(
    folder: Path, start_owner: StartOwner
) -> None:
    """As in many containers; the data then stays with the user that made it."""
    owner = start_owner(folder / "data", "--deny-namespaces")
    user = await user_of(owner)
    assert user != 0
    owner.end(signal.SIGINT)
    assert owner_of(folder / "data") == 0
    assert owner_of(folder / "data" / "pg") == user

    again = start_owner(folder / "data")
    assert await user_of(again) == user
    again.end(signal.SIGINT)
