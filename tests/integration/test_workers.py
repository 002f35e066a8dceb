"""The deployable worker process: it works on what others emit, and stops in good order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, condition
from tests.harness import make_pulse
from tests.processes import Program, Programs

ROOT = Path(__file__).parents[2]
STEPS = (condition("wants_receipt"), action("send_receipt"))


EXAMPLE = "workers.handlers_example:register"
ENTRIES = {
    "workers.main": ("-m", "workers.main"),
    "pulse worker": ("-m", "pulse_temporal.cli", "worker"),
}


class StartWorker(Protocol):
    """Starts a worker process, by default ``python -m workers.main``."""

    def __call__(self, *arguments: str, **environment: str) -> Program:
        """Return the process, which may have begun its work."""
        ...


@pytest.fixture
def start_worker(programs: Programs) -> StartWorker:
    """Start worker processes; whoever is left afterwards is ended."""

    def start(*arguments: str, **environment: str) -> Program:
        return programs.start(
            *(arguments or ENTRIES["workers.main"]), environment={**os.environ, **environment}
        )

    return start


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_worker_process_works_and_stops_on_sigterm(
    servers: EmbeddedServices, database: str, start_worker: StartWorker, entry: str
) -> None:
    """The application only emits; the handlers run in the worker."""
    app = make_pulse(database, servers.temporal_address)
    worker = start_worker(
        *ENTRIES[entry],
        PULSE_APP=EXAMPLE,
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
        worker.terminate()
        assert await worker.ended() == 0
    finally:
        await app.engine.stop()


@pytest.mark.parametrize("entry", ENTRIES)
async def test_without_an_application_nothing_is_run(
    start_worker: StartWorker, entry: str, database: str
) -> None:
    """Example handlers in production would report receipts that were never sent."""
    worker = start_worker(*ENTRIES[entry], PULSE_APP="", DATABASE_URL=database)
    assert await worker.ended() == 2
    assert "PULSE_APP" in worker.stderr


async def test_the_argument_of_the_command_names_the_application(
    start_worker: StartWorker,
) -> None:
    worker = start_worker(*ENTRIES["pulse worker"], "nowhere:register", PULSE_APP=EXAMPLE)
    assert await worker.ended() == 2
    assert "'nowhere:register'" in worker.stderr


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"DATABASE_URL": ""}, 2, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "x", "PULSE_CONCURRENCY": "0"}, 2, "PULSE_CONCURRENCY"),
        ({"PULSE_APP": "nowhere:register"}, 2, "No module named 'nowhere'"),
        ({"PULSE_APP": "workers.handlers_example:regster"}, 2, "has no 'regster'"),
        ({"PULSE_APP": "workers.handlers_example:__doc__"}, 2, "has no callable '__doc__'"),
        ({"PULSE_APP": ":register"}, 2, "package.module:function"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, 3, "Postgres"),
    ],
)
async def test_a_wrong_setting_is_one_line_and_an_exit_code(
    start_worker: StartWorker, environment: dict[str, str], code: int, words: str
) -> None:
    """The line names the setting."""
    worker = start_worker(**{"PULSE_APP": EXAMPLE, **environment})
    assert await worker.ended() == code
    (line,) = worker.stderr.splitlines()
    assert words in line


def test_the_image_is_ready_for_an_application() -> None:
    """No engine builds it here; these are the mistakes that were made before."""
    lines = (ROOT / "workers" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    instructions = dict(line.split(" ", 1) for line in lines if line[:1].isupper())
    assert instructions["USER"] == "10001:10001"
    assert "pulse" in instructions["HEALTHCHECK"]
    assert (instructions["ENTRYPOINT"], instructions["CMD"]) == ('["pulse"]', '["worker"]')
    assert any("[cli]" in line for line in lines if line.startswith("RUN"))
    assert not any("handlers_example" in line or "COPY workers" in line for line in lines)
