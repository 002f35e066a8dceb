"""``pulse reconcile`` on real servers: what it prints, what it does, what it says to the shell."""

from __future__ import annotations

import re

import asyncpg
import pytest
from temporalio.client import Client

from pulse_temporal import ReconcileReport
from pulse_temporal.embedded.ports import free_ports
from pulse_temporal.testing import delay
from tests.cli.conftest import StartPulse
from tests.harness import PulseTest, eventually
from tests.processes import Program
from tests.temporal_operator import Operator

HOUR = 3_600_000


def ask(start_pulse: StartPulse, pulse: PulseTest, *arguments: str) -> Program:
    """Reconcile what an engine works on."""
    return start_pulse(
        "reconcile",
        *arguments,
        DATABASE_URL=pulse.dsn,
        TEMPORAL_ADDRESS=pulse.temporal_address,
        PULSE_QUEUE_PREFIX=pulse.engine.options.queue_prefix,
    )


@pytest.fixture
async def operator(idle_pulse: PulseTest) -> Operator:
    """Return somebody with the Temporal CLI."""
    return Operator(await Client.connect(idle_pulse.temporal_address))


async def waiting_runs(pulse: PulseTest, connection: asyncpg.Connection, number: int) -> list[str]:
    """Start runs that wait for an hour, and wait until Temporal has them all."""
    await pulse.define("wait.asked", delay("pause", HOUR))
    runs = [(await pulse.emit("wait.asked")).run_ids[0] for _ in range(number)]
    for run_id in runs:
        await pulse.wait_for_status(run_id, "waiting")

    async def told() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    await eventually(told)
    return runs


def test_nothing_differs(start_pulse: StartPulse, pulse: PulseTest) -> None:
    command = ask(start_pulse, pulse)
    assert command.wait() == 0
    assert "Compared 0 open runs and all schedules." in command.stdout
    assert command.stdout.endswith("\nNothing differs.\n")
    assert command.stderr == ""


async def test_each_repair_is_a_line(
    start_pulse: StartPulse, pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    ended, gone = await waiting_runs(pulse, connection, 2)
    await operator.terminate(ended)
    await operator.delete(gone)
    lines = [
        f"{ended}  tenant-a  terminated         → run failed",
        f"{gone}  tenant-a  gone from Temporal → run goes on",
    ]

    command = ask(start_pulse, pulse, "--dry-run")
    assert command.wait() == 0
    assert [line for line in command.stdout.splitlines() if line.startswith("run_")] == lines
    assert "2 to repair; this was a dry run." in command.stdout
    before = await pulse.engine.get_run(ended)
    assert before is not None
    assert before.status == "waiting"

    command = ask(start_pulse, pulse)
    assert command.wait() == 0
    assert [line for line in command.stdout.splitlines() if line.startswith("run_")] == lines
    assert command.stdout.endswith("\n2 repaired.\n")
    await pulse.wait_for_status(ended, "failed")
    await eventually(lambda: in_generation(pulse, gone, 2))


async def in_generation(pulse: PulseTest, run_id: str, generation: int) -> bool:
    """Return whether a run waits in a generation."""
    run = await pulse.engine.get_run(run_id)
    return run is not None and (run.status, run.generation) == ("waiting", generation)


async def test_without_a_worker_it_says_that_repairs_wait(
    start_pulse: StartPulse, pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    (run_id,) = await waiting_runs(pulse, connection, 1)
    await pulse.engine.stop()
    await operator.delete(run_id)
    command = ask(start_pulse, pulse)
    assert command.wait() == 0
    assert "! No worker lives on this task queue: 1 of the repairs" in command.stdout


async def test_a_halt_names_the_command_to_go_on(
    start_pulse: StartPulse, pulse: PulseTest, operator: Operator, connection: asyncpg.Connection
) -> None:
    runs = await waiting_runs(pulse, connection, 10)
    for run_id in runs:
        await operator.delete(run_id)

    command = ask(start_pulse, pulse)
    assert command.wait() == 1
    assert "\nHalted: nothing was repaired.\n" in command.stdout
    assert "10 of 10 open runs are not in Temporal." in command.stdout
    assert re.search(r"^  Go on +pulse reconcile --confirm$", command.stdout, re.MULTILINE)
    assert f"Temporal at {pulse.temporal_address}, namespace 'default'" in command.stdout
    assert not await in_generation(pulse, runs[0], 2)

    command = ask(start_pulse, pulse, "--json")
    assert command.wait() == 1
    assert ReconcileReport.model_validate_json(command.stdout).halted is not None

    command = ask(start_pulse, pulse, "--confirm")
    assert command.wait() == 0
    assert command.stdout.endswith("\n10 repaired.\n")
    for run_id in runs:
        await eventually(lambda run_id=run_id: in_generation(pulse, run_id, 2))


async def test_workflows_without_a_run_are_listed(
    start_pulse: StartPulse, pulse: PulseTest, operator: Operator
) -> None:
    queue = pulse.engine.options.task_queue
    await pulse.engine.stop()
    stranger = await operator.client.start_workflow(
        "PulseRun", id=f"stranger-{queue}", task_queue=queue
    )

    async def listed() -> bool:
        command = ask(start_pulse, pulse)
        assert command.wait() == 0
        return f"\n  {stranger.id}\n" in command.stdout

    await eventually(listed)
    await stranger.terminate()


async def test_names_cannot_command_the_terminal(
    start_pulse: StartPulse, pulse: PulseTest, operator: Operator
) -> None:
    """A workflow's id is whatever somebody with access to Temporal has chosen."""
    queue = pulse.engine.options.task_queue
    await pulse.engine.stop()
    stranger = await operator.client.start_workflow(
        "PulseRun", id=f"\x1b[2J\x9b31mstranger\r\u202e-{queue}", task_queue=queue
    )

    async def listed() -> Program | None:
        command = ask(start_pulse, pulse)
        assert command.wait() == 0
        return command if "stranger" in command.stdout else None

    command = await eventually(listed)
    await stranger.terminate()
    assert f"\n  \ufffd[2J\ufffd31mstranger\ufffd\ufffd-{queue}\n" in command.stdout


def test_temporal_that_is_away_is_one_block(start_pulse: StartPulse, database: str) -> None:
    command = start_pulse(
        "reconcile",
        DATABASE_URL=database,
        TEMPORAL_ADDRESS=f"127.0.0.1:{free_ports([0])[0]}",
    )
    assert command.wait() == 3
    assert command.stdout == ""
    assert command.stderr.startswith("Error [temporal_unavailable]\n")
    assert "Traceback" not in command.stderr
