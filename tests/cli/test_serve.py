"""``pulse serve``: pages from a process of their own, which ends when it is told to."""

from __future__ import annotations

import asyncio
import re
import socket

from tests.cli.conftest import StartPulse
from tests.harness import TENANT, PulseTest, eventually
from tests.processes import Program


async def address_of(program: Program) -> tuple[str, int]:
    """Wait until the pages are served; return where."""

    async def look() -> tuple[str, int] | None:
        found = re.search(r"http://([\d.]+):(\d+)/", program.stderr)
        return (found[1], int(found[2])) if found else None

    return await eventually(look)


async def test_pages_are_served_and_an_open_stream_does_not_keep_the_process(
    idle_pulse: PulseTest, start_pulse: StartPulse
) -> None:
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    program = start_pulse(
        "serve",
        "--port",
        "0",
        DATABASE_URL=idle_pulse.dsn,
        TEMPORAL_ADDRESS=idle_pulse.temporal_address,
    )
    host, port = await address_of(program)
    reader, writer = await asyncio.open_connection(host, port)
    path = f"/t/{TENANT}/runs/{run_id}/stream"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = await reader.readuntil(b"event: skew")
    assert b"200 OK" in answer
    assert b"text/event-stream" in answer

    program.terminate()
    assert await program.ended() == 0
    rest = await reader.read()
    assert rest.endswith(b"0\r\n\r\n")  # the stream has ended in good order
    writer.close()


def test_other_machines_are_not_served_while_nobody_can_sign_in(
    idle_pulse: PulseTest, start_pulse: StartPulse
) -> None:
    for host in ("0.0.0.0", "::"):  # noqa: S104 - that is the point
        program = start_pulse(
            "serve",
            *("--host", host, "--port", "0"),
            DATABASE_URL=idle_pulse.dsn,
            TEMPORAL_ADDRESS=idle_pulse.temporal_address,
        )
        assert program.wait() == 2
        assert "PULSE-S001" in program.stderr
        assert "pulse login-link" in program.stderr


async def get(address: tuple[str, int], path: str, *headers: str) -> str:
    """Return the answer to a request, head and body."""
    reader, writer = await asyncio.open_connection(*address)
    lines = [f"GET {path} HTTP/1.1", f"Host: {address[0]}", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_other_machines_are_served_when_somebody_has_a_key(
    idle_pulse: PulseTest, start_pulse: StartPulse
) -> None:
    made = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read", "definitions:read"])
    program = start_pulse(
        "serve",
        *("--host", "0.0.0.0", "--port", "0"),  # noqa: S104 - that is the point
        DATABASE_URL=idle_pulse.dsn,
        TEMPORAL_ADDRESS=idle_pulse.temporal_address,
        PULSE_WEB_TRUSTED_PROXIES="127.0.0.1",
    )
    _, port = await address_of(program)
    here = ("127.0.0.1", port)

    nobody = await get(here, "/tenants")
    assert "401 Unauthorized" in nobody
    assert "<h1>Sign in</h1>" in nobody
    key = f"Authorization: Bearer {made.token}"
    assert "200 OK" in await get(here, f"/t/{TENANT}/runs", key)
    program.terminate()
    assert await program.ended() == 0


def test_a_port_that_is_taken_is_named(start_pulse: StartPulse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        program = start_pulse("serve", "--port", port, DATABASE_URL="postgresql://127.0.0.1:1/x")
        assert program.wait() == 2
    assert f"Port {port} of 127.0.0.1 cannot be used" in program.stderr
