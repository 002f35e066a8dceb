"""The deployable worker process: it works on what others emit, and stops in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

import pytest

from pulse_temporal.embedded import EmbeddedServices
from tests.harness import action, condition, make_pulse

STEPS = (condition("wants_receipt"), action("send_receipt"))


async def start_worker(**environment: str) -> Process:
    """Start ``python -m workers.main``."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers.main",
        env={**os.environ, **environment},
        stdout=DEVNULL,
        stderr=PIPE,
    )


async def test_a_worker_process_works_and_stops_on_sigterm(
    servers: EmbeddedServices, database: str
) -> None:
    """The application only emits; the handlers run in the worker."""
    app = make_pulse(database, servers.temporal_address)
    worker = await start_worker(
        DATABASE_URL=database,
        TEMPORAL_ADDRESS=servers.temporal_address,
        PULSE_QUEUE_PREFIX=app.engine.options.queue_prefix,
        PULSE_CONCURRENCY="5",
    )
    try:
        await app.define("order.paid", *STEPS)
        await app.engine.start(worker=False)
        run = await app.emit_and_wait("order.paid")
        assert (run.status, run.context) == ("completed", {"send_receipt": {"sent": True}})
        worker.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(worker.communicate(), 30)
        assert worker.returncode == 0, errors.decode()
    finally:
        await app.engine.stop()
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"DATABASE_URL": ""}, 2, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "x", "PULSE_CONCURRENCY": "0"}, 2, "PULSE_CONCURRENCY"),
        ({"DATABASE_URL": "x", "PULSE_APP": "nowhere:register"}, 2, "nowhere"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, 3, "Postgres"),
    ],
)
async def test_a_wrong_setting_is_one_line_and_an_exit_code(
    environment: dict[str, str], code: int, words: str
) -> None:
    """The line names the setting."""
    worker = await start_worker(**environment)
    _, errors = await asyncio.wait_for(worker.communicate(), 30)
    (line,) = errors.decode().splitlines()
    assert words in line
    assert worker.returncode == code
