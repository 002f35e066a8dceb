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


def test_other_machines_are_not_served_without_sign_in(start_pulse: StartPulse) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "acme.test"):  # noqa: S104 - that is the point
        program = start_pulse("serve", "--host", host, DATABASE_URL="postgresql://127.0.0.1:1/x")
        assert program.wait() == 2
        assert "Pages without sign-in are for this machine alone" in program.stderr


def test_a_port_that_is_taken_is_named(start_pulse: StartPulse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        program = start_pulse("serve", "--port", port, DATABASE_URL="postgresql://127.0.0.1:1/x")
        assert program.wait() == 2
    assert f"Port {port} of 127.0.0.1 cannot be used" in program.stderr
