"""The servers live as long as their owner, however it ends."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal.embedded import embedded_postgres, embedded_services
from pulse_temporal.embedded.folder import is_running, lock_folder
from pulse_temporal.embedded.process import SAME_USER, Launch, ServerProcess, StopPlan
from tests.embedded.conftest import Eventually, StartOwner

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")


def postgres_log(folder: Path) -> str:
    """Read what the latest Postgres in ``folder`` printed."""
    return (folder / "postgres.log").read_text(encoding="utf-8")


def parent_of(pid: int) -> int:
    """Return the pid of a process's parent."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[1])


async def test_a_killed_owner_leaves_no_servers(
    folder: Path, start_owner: StartOwner, eventually: Eventually
) -> None:
    """After kill -9 of the owner Postgres shuts down in order and Temporal is gone too."""
    owner = start_owner(folder)
    assert all(map(is_running, owner.report.pids))
    owner.end(signal.SIGKILL)
    await eventually(lambda: not any(map(is_running, owner.report.pids)))
    assert "database system is shut down" in postgres_log(folder)


async def test_a_new_owner_takes_over_from_a_killed_one(
    folder: Path, start_owner: StartOwner
) -> None:
    """It waits for the old servers to stop, then finds the data."""
    owner = start_owner(folder)
    connection = await asyncpg.connect(owner.report.dsn)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()
    owner.end(signal.SIGKILL)
    async with embedded_services(folder, ui=False) as services:
        connection = await asyncpg.connect(services.dsn)
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()


async def test_ctrl_c_stops_the_servers_in_order(folder: Path, start_owner: StartOwner) -> None:
    """When the owner has ended nothing is left, and Postgres was not cut off."""
    owner = start_owner(folder)
    owner.press_ctrl_c()
    assert not any(map(is_running, owner.report.pids))
    assert "database system is shut down" in postgres_log(folder)


async def test_a_forked_child_does_not_keep_the_servers_alive(
    folder: Path, start_owner: StartOwner, eventually: Eventually
) -> None:
    """A fork holds copies of the owner's pipes and locks, and must let go of them."""
    owner = start_owner(folder, "--fork")
    child = owner.report.child
    assert child is not None
    try:
        owner.end(signal.SIGKILL)
        await eventually(lambda: not any(map(is_running, owner.report.pids)))
        assert is_running(child)
        async with embedded_postgres(folder):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


@linux_only
async def test_a_killed_watchdog_takes_its_server_along(
    folder: Path, eventually: Eventually
) -> None:
    """The server does not outlive the process that would have stopped it."""
    async with embedded_postgres(folder, durable=False) as server:
        os.kill(parent_of(server.pid), signal.SIGKILL)
        await eventually(lambda: not is_running(server.pid))
    async with embedded_postgres(folder, durable=False):
        pass


async def run_python(folder: Path, code: str, *, stop: StopPlan) -> int | None:
    """Run a program as a server until it has printed a line; give its status after the stop."""
    async with lock_folder(folder, service="program") as lock:
        process = ServerProcess(
            Launch(
                command=[sys.executable, "-u", "-c", code],
                environment=os.environ,
                log=folder / "program.log",
                identity=SAME_USER,
                stop=stop,
                lock=lock,
            )
        )
        while not process.log_text():
            assert await process.wait(timedelta(milliseconds=10)) is None
        await process.stop()
        return process.exit_status


async def test_a_server_that_ignores_signals_is_killed(folder: Path) -> None:
    """Every step of the plan has its time; SIGKILL is the last one."""
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('up'); signal.pause()"
    stop = [(signal.SIGTERM, timedelta(milliseconds=100))]
    assert await run_python(folder, code, stop=stop) == 128 + signal.SIGKILL


@linux_only
async def test_processes_that_a_server_leaves_behind_are_ended(folder: Path) -> None:
    """A stop is over only when the last of them is gone."""
    code = (
        "import os, signal\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.setsid(); signal.signal(15, signal.SIG_IGN); signal.pause()\n"
        "print(child); signal.pause()"
    )
    stop = [(signal.SIGTERM, timedelta(seconds=5))]
    assert await run_python(folder, code, stop=stop) == 128 + signal.SIGTERM
    assert not is_running(int((folder / "program.log").read_text(encoding="ascii")))
