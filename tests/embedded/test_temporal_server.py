"""The Temporal supervisor: its ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from pulse_temporal.embedded import embedded_temporal
from pulse_temporal.errors import EmbeddedServiceError


@pytest.fixture
def usual_ports_taken() -> Generator[None]:
    """Make sure that somebody holds the ports that Temporal usually has."""
    with socket.socket() as grpc, socket.socket() as page:
        for holder, port in ((grpc, 7233), (page, 8233)):
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # then somebody else holds it, which serves as well
                holder.bind(("127.0.0.1", port))
                holder.listen()
        yield


@pytest.mark.usefixtures("usual_ports_taken")
async def test_other_ports_when_the_usual_ones_are_taken(folder: Path) -> None:
    """Both servers of two projects can run at the same time."""
    async with embedded_temporal(folder, durable=False) as server:
        assert server.address != "127.0.0.1:7233"
        assert server.ui != "http://127.0.0.1:8233"
        client = await Client.connect(server.address)
        info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
        assert info.server_version


async def test_a_named_port_that_is_taken_is_an_error(folder: Path) -> None:
    """A port that the caller chose is never replaced in silence."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = int(holder.getsockname()[1])
        with pytest.raises(EmbeddedServiceError, match=rf"{port}.*address already in use"):
            async with embedded_temporal(folder, durable=False, ui=False, port=port):
                pytest.fail("two servers on one port")


async def test_a_named_port_is_used_again_after_a_restart(folder: Path) -> None:
    """Clients that stay connected find the server where it was."""
    async with embedded_temporal(folder, durable=False, ui=False) as server:
        port = int(server.address.rpartition(":")[2])
        client = await Client.connect(server.address)
    async with embedded_temporal(folder, durable=False, ui=False, port=port):
        info = await client.workflow_service.get_system_info(GetSystemInfoRequest(), retry=True)
        assert info.server_version


async def test_servers_started_at_the_same_moment_share_no_port(folder: Path) -> None:
    """A port lost between looking and binding leads to another one, not to an error."""
    async with AsyncExitStack() as stack:
        servers = await asyncio.gather(
            *(
                stack.enter_async_context(embedded_temporal(folder / str(number), durable=False))
                for number in range(4)
            )
        )
        used = [server.address for server in servers] + [str(server.ui) for server in servers]
        assert len(set(used)) == 8
        for server in servers:
            client = await Client.connect(server.address)
            assert (
                await client.workflow_service.get_system_info(GetSystemInfoRequest())
            ).server_version
