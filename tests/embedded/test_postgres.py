"""The Postgres supervisor: sockets, ports, crashes, unusable data."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from pulse_temporal.embedded import embedded_postgres
from pulse_temporal.errors import EmbeddedServiceError


async def execute(dsn: str, statement: str) -> str:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.execute(statement)
    finally:
        await connection.close()


def socket_folder_of(dsn: str) -> Path:
    """Read the folder of the socket from a DSN."""
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


@pytest.mark.parametrize("name", ["x" * 120, "one,two"])
async def test_a_folder_unfit_for_sockets_gets_a_private_one(folder: Path, name: str) -> None:
    """Long paths and commas work; the folder made for the socket goes away."""
    async with embedded_postgres(folder / name, durable=False) as server:
        assert await execute(server.dsn, "SELECT 1") == "SELECT 1"
        sockets = socket_folder_of(server.dsn)
        assert sockets.stat().st_mode & 0o077 == 0
        assert (folder / name / "pg" / "PG_VERSION").exists()
    assert not sockets.exists()


async def test_a_path_with_odd_characters(folder: Path) -> None:
    """Spaces, quotes, percent signs and letters of any alphabet are only characters."""
    async with embedded_postgres(folder / "a b'\"%41&ü", durable=False) as server:
        assert await execute(server.dsn, "SELECT 1") == "SELECT 1"
        assert socket_folder_of(server.dsn) == folder / "a b'\"%41&ü" / "pg"


async def test_settings_of_the_environment_do_not_leak_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables meant for another Postgres change neither the server nor the DSN."""
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    async with embedded_postgres(folder, durable=False) as server:
        assert await execute(server.dsn, "SELECT 1") == "SELECT 1"


async def test_tcp_asks_for_the_password(folder: Path) -> None:
    """Whoever reaches the port must know the password; it survives a restart."""
    async with embedded_postgres(folder, durable=False, port=0) as server:
        assert server.tcp_dsn is not None
        assert await execute(server.tcp_dsn, "SELECT 1") == "SELECT 1"
        first = urlsplit(server.tcp_dsn)
        wrong = server.tcp_dsn.replace(str(first.password), "guess")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await execute(wrong, "SELECT 1")
    async with embedded_postgres(folder, durable=False, port=first.port) as server:
        assert server.tcp_dsn is not None
        assert server.tcp_dsn == first.geturl()
        assert await execute(server.tcp_dsn, "SELECT 1") == "SELECT 1"
    assert (folder / "postgres.password").stat().st_mode & 0o077 == 0


async def test_a_killed_postmaster_can_be_started_again(folder: Path) -> None:
    """After kill -9, with a client in mid-transaction, what was committed is still there."""
    async with embedded_postgres(folder) as server:
        await execute(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        client = await asyncpg.connect(server.dsn)
        await client.execute("BEGIN; INSERT INTO kept VALUES (43)")
        os.kill(server.pid, signal.SIGKILL)
    client.terminate()
    assert (folder / "pg" / "postmaster.pid").exists()
    async with embedded_postgres(folder) as server:
        assert await execute(server.dsn, "SELECT * FROM kept") == "SELECT 1"


async def test_a_stale_pid_file_of_a_foreign_process_does_not_hinder(folder: Path) -> None:
    """After a reboot the pid in the file may belong to anybody."""
    async with embedded_postgres(folder, durable=False):
        leftover = (folder / "pg" / "postmaster.pid").read_text(encoding="ascii")
    lines = [str(os.getpid()), *leftover.splitlines()[1:]]
    (folder / "pg" / "postmaster.pid").write_text("\n".join(lines), encoding="ascii")
    async with embedded_postgres(folder, durable=False) as server:
        assert await execute(server.dsn, "SELECT 1") == "SELECT 1"


async def test_an_interrupted_first_start_is_repeated(folder: Path) -> None:
    """A half-made data folder is thrown away."""
    (folder / "pg.new" / "base").mkdir(parents=True)
    async with embedded_postgres(folder, durable=False) as server:
        assert await execute(server.dsn, "SELECT 1") == "SELECT 1"
    assert not (folder / "pg.new").exists()


async def test_the_error_carries_the_end_of_the_log(folder: Path) -> None:
    """The reason why Postgres does not start is in the message."""
    async with embedded_postgres(folder, durable=False):
        pass
    with (folder / "pg" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("no_such_setting = on\n")
    with pytest.raises(EmbeddedServiceError, match="no_such_setting"):
        async with embedded_postgres(folder, durable=False):
            pytest.fail("started with a broken configuration")


async def test_data_of_another_version_is_refused(folder: Path) -> None:
    """The message names both versions."""
    async with embedded_postgres(folder, durable=False) as server:
        major = server.major
    (folder / "pg" / "PG_VERSION").write_text("9\n", encoding="ascii")
    with pytest.raises(EmbeddedServiceError, match=rf"Postgres 9, .* is version {major}\."):
        async with embedded_postgres(folder, durable=False):
            pytest.fail("started on foreign data")
