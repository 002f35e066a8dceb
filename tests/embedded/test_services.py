"""Both servers together: ready, kept, refused, throwaway."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from pulse_temporal.embedded import embedded_services
from pulse_temporal.errors import EmbeddedServiceError

TENANT = SearchAttributeKey.for_keyword("PulseTenant")


async def fetch(dsn: str, query: str) -> object:
    """Ask one question on a connection of its own."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def mode_of(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def make_nested_folder(folder: Path, *, mode: int) -> Path:
    """Make a folder of a given mode inside a private one."""
    used = folder / "used"
    used.mkdir()
    used.chmod(mode)
    folder.chmod(0o700)
    return used


async def test_both_servers_answer_at_once(folder: Path) -> None:
    """A query, and a workflow start with a search attribute, work with the first try."""
    async with embedded_services(folder / "new") as services:
        assert await fetch(services.dsn, "SELECT current_database()") == "pulse"
        assert await fetch(services.dsn, "SELECT current_setting('fsync')") == "on"
        assert await fetch(services.dsn, "SELECT current_setting('listen_addresses')") == ""
        assert await fetch(services.dsn, "SELECT current_setting('TimeZone')") == "UTC"
        client = await Client.connect(services.temporal_address)
        tenant = TypedSearchAttributes([SearchAttributePair(TENANT, "acme")])
        handle = await client.start_workflow(
            "Nothing", id="first", task_queue="nobody", search_attributes=tenant
        )
        await handle.terminate()
        assert services.temporal_ui is not None
        assert str(folder / "new" / "pg") in services.psql


async def test_data_is_kept_between_runs(folder: Path) -> None:
    """Rows and workflows of the first run are there in the second."""
    async with embedded_services(folder, ui=False) as services:
        await fetch(services.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        client = await Client.connect(services.temporal_address)
        await client.start_workflow("Nothing", id="kept", task_queue="nobody")
    async with embedded_services(folder, ui=False) as services:
        assert await fetch(services.dsn, "SELECT answer FROM kept") == 42
        client = await Client.connect(services.temporal_address)
        description = await client.get_workflow_handle("kept").describe()
        assert description.status == WorkflowExecutionStatus.RUNNING


async def test_a_second_start_on_the_folder_is_refused(folder: Path) -> None:
    """The error names the folder and the process that uses it."""
    async with embedded_services(folder, durable=False, temporal=False):
        with pytest.raises(EmbeddedServiceError) as caught:
            async with embedded_services(folder):
                pytest.fail("two owners of one folder")
    assert str(folder) in str(caught.value)
    assert str(os.getpid()) in str(caught.value)


async def test_throwaway_servers_sync_nothing(folder: Path) -> None:
    """Tests get servers that trade durability for speed."""
    async with embedded_services(folder, durable=False) as services:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await fetch(services.dsn, f"SELECT current_setting('{setting}')") == "off"
    assert not (folder / "temporal.db").exists()


async def test_a_new_folder_is_private_and_unknown_to_git(folder: Path) -> None:
    """Nothing in it can be listed by others or committed by accident."""
    async with embedded_services(folder / "a" / "b", durable=False, temporal=False):
        made = folder / "a" / "b"
        assert (made / ".gitignore").read_text(encoding="ascii") == "*\n"
        assert mode_of(made) & 0o066 == 0
        assert mode_of(made / "pg") == 0o700
    assert not (folder / ".gitignore").exists()


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o777])
async def test_a_folder_that_exists_keeps_its_mode(folder: Path, mode: int) -> None:
    """Neither it nor its parent is opened up or closed down."""
    used = make_nested_folder(folder, mode=mode)
    async with embedded_services(used, durable=False, temporal=False) as services:
        assert await fetch(services.dsn, "SELECT 1") == 1
    assert mode_of(used) == mode
    assert mode_of(folder) == 0o700
    assert not (used / ".gitignore").exists()


async def test_postgres_alone(folder: Path) -> None:
    """Without Temporal there is no address to hand out."""
    async with embedded_services(folder, durable=False, temporal=False) as services:
        assert services.temporal_ui is None
        with pytest.raises(EmbeddedServiceError, match="temporal=False"):
            _ = services.temporal_address


async def test_an_error_in_the_block_passes_unchanged(folder: Path) -> None:
    """The servers stop and the caller sees its own error, not a group."""
    with pytest.raises(KeyError, match="mine"):
        async with embedded_services(folder, durable=False, temporal=False):
            raise KeyError("mine")
    async with embedded_services(folder, durable=False, temporal=False):
        pass


async def test_one_failure_stops_the_other_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres does not stay behind when Temporal cannot start."""
    monkeypatch.setenv("PULSE_TEMPORAL_BIN", "/nowhere/temporal")
    with pytest.raises(EmbeddedServiceError, match="PULSE_TEMPORAL_BIN"):
        async with embedded_services(folder, durable=False):
            pytest.fail("started without Temporal")
    async with embedded_services(folder, durable=False, temporal=False):
        pass
