"""kill -9 of Postgres and Temporal under running runs: they finish, no record is repeated."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import (
    PostgresServer,
    TemporalServer,
    embedded_postgres,
    embedded_temporal,
)
from pulse_temporal.embedded.ports import free_ports
from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.testing import delay, parallel
from tests.harness import PulseTest, checked_invariants, eventually, make_pulse

pytestmark = pytest.mark.faults

SIGNALS = 4
DEFINITIONS = 3
RUN_SECONDS = 60.0


@pytest.fixture
def folder() -> Generator[Path]:
    """Yield a short path: the socket of a database needs one."""
    made = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Servers:
    """A Postgres and a Temporal of the test's own, which keep their data and their addresses."""

    def __init__(self, folder: Path, stacks: dict[str, AsyncExitStack]) -> None:
        self.folder = folder
        self.port = free_ports([0])[0]
        self.stacks = stacks
        self.postgres: PostgresServer
        self.temporal: TemporalServer

    async def start(self, name: str) -> None:
        """Start one of them on the data that it left behind."""
        stack = self.stacks[name]
        if name == "postgres":
            self.postgres = await stack.enter_async_context(embedded_postgres(self.folder))
        else:
            block = embedded_temporal(self.folder, ui=False, port=self.port)
            self.temporal = await stack.enter_async_context(block)

    async def kill(self, name: str) -> None:
        """Kill one of them at once and clean up behind it."""
        server = self.postgres if name == "postgres" else self.temporal
        os.kill(server.pid, signal.SIGKILL)
        await self.stacks[name].aclose()


@pytest.fixture
async def own_servers(folder: Path) -> AsyncGenerator[Servers]:
    """Yield servers that the test may kill."""
    async with AsyncExitStack() as postgres, AsyncExitStack() as temporal:
        servers = Servers(folder, {"postgres": postgres, "temporal": temporal})
        for name in servers.stacks:
            await servers.start(name)
        yield servers


class Desk:
    """Counts the calls of each step; calls of steps named ``gate`` wait until it is open."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.opened = asyncio.Event()

    async def work(self, ctx: WorkflowContext) -> None:
        """Be every action."""
        self.calls[ctx.step.step_name, ctx.run.id] += 1
        if ctx.step.step_name.startswith("gate"):
            await self.opened.wait()

    def total(self, step: str) -> int:
        """Return how often a step was called in all runs."""
        return sum(count for (name, _), count in self.calls.items() if name == step)


@asynccontextmanager
async def working_pulse(servers: Servers, desk: Desk) -> AsyncGenerator[PulseTest]:
    """Run an engine whose patience is short, with three definitions for one signal."""
    bounds = timedelta(seconds=2)
    pulse = make_pulse(
        servers.postgres.dsn,
        servers.temporal.address,
        heartbeat_timeout=bounds,
        task_timeout=bounds,
        postgres_timeout=bounds,
        temporal_timeout=bounds,
    )
    for name in ("before", "gate", "gate_in_branch", "in_branch", "after"):
        pulse.engine.register_action(name, desk.work)
    await pulse.engine.migrate()
    async with checked_invariants(pulse.dsn), pulse.engine:
        await pulse.define("fault.met", "before", "gate", "after")
        await pulse.define("fault.met", "before", delay("pause", 1_500), "after")
        both = parallel("both", ["gate_in_branch"], ["in_branch", delay("short_pause", 500)])
        await pulse.define("fault.met", "before", both, "after")
        yield pulse


async def under_way(pulse: PulseTest, desk: Desk) -> list[str]:
    """Emit, and wait until every run is past its first step; give the run ids."""
    triggers = [await pulse.emit("fault.met") for _ in range(SIGNALS)]
    run_ids = [run_id for trigger in triggers for run_id in trigger.run_ids]
    assert len(run_ids) == SIGNALS * DEFINITIONS

    async def claim() -> bool:
        gates = desk.total("gate"), desk.total("gate_in_branch")
        runs = [await pulse.statuses(run_id) for run_id in run_ids]
        return gates == (SIGNALS, SIGNALS) and all(run["0"] == "completed" for run in runs)

    await eventually(claim)
    return run_ids


@pytest.mark.parametrize(
    "victims", [["postgres"], ["temporal"], ["postgres", "temporal"]], ids="+".join
)
async def test_runs_outlive_their_servers(own_servers: Servers, victims: list[str]) -> None:
    """Handlers that return while a server is away are recorded when it is back."""
    desk = Desk()
    async with working_pulse(own_servers, desk) as pulse:
        run_ids = await under_way(pulse, desk)
        for victim in victims:
            await own_servers.kill(victim)
        desk.opened.set()
        if "postgres" in victims:
            with pytest.raises(PostgresUnavailableError):
                await pulse.emit("fault.met")
        else:
            run_ids += (await pulse.emit("fault.met")).run_ids
        for victim in victims:
            await own_servers.start(victim)
        run_ids += (await pulse.emit("fault.met")).run_ids
        runs = [await pulse.engine.wait_for_run(run_id, timeout=RUN_SECONDS) for run_id in run_ids]

        assert {run.status for run in runs} == {"completed"}, [run.error_message for run in runs]
        assert [desk.calls["before", run_id] for run_id in run_ids] == [1] * len(run_ids)


async def test_an_outage_of_both_does_not_end_the_relay(
    own_servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    """A start that Temporal does not take, and that Postgres cannot postpone, is tried again."""
    desk = Desk()
    desk.opened.set()
    async with working_pulse(own_servers, desk) as pulse:
        await own_servers.kill("temporal")
        run_ids = (await pulse.emit("fault.met")).run_ids
        await own_servers.kill("postgres")

        async def is_noticed() -> bool:
            return "A start is left to the relay" in caplog.text

        await eventually(is_noticed)
        for name in own_servers.stacks:
            await own_servers.start(name)
        runs = [await pulse.engine.wait_for_run(run_id, timeout=RUN_SECONDS) for run_id in run_ids]

        assert {run.status for run in runs} == {"completed"}
