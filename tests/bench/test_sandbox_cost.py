"""What the sandbox costs: CPU of the whole process for a run, with it and without it."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.worker import build
from tests.harness import PulseTest, action, make_pulse

pytestmark = pytest.mark.bench

ROUNDS = 7
RUNS = 50
GOAL_MS = 10.0
SHORT = 1_000
"""A declared timeout that makes a step a local activity: the cheapest run there is."""

RUN_SECONDS = 60.0
Runner = Callable[[], WorkflowRunner]
RUNNERS: dict[str, Runner] = {
    "sandbox": build.workflow_runner,
    "no sandbox": UnsandboxedWorkflowRunner,
}
SIZES = {"bench.empty": 0, "bench.three": 3}


@asynccontextmanager
async def working(
    services: EmbeddedServices, dsn: str, runner: Runner, patch: pytest.MonkeyPatch
) -> AsyncGenerator[PulseTest]:
    """Run an engine whose worker interprets runs with a runner."""
    pulse = make_pulse(dsn, services.temporal_address)
    pulse.action("act")
    for type_ in SIZES:
        pulse.signal(type_)
    with patch.context() as patched:
        patched.setattr(build, "workflow_runner", runner)
        async with pulse.engine:
            yield pulse


async def cpu_ms(pulse: PulseTest, type_: str) -> float:
    """Give the CPU time of this process for one run, from its signal to its end."""
    began = time.process_time()
    triggers = [await pulse.emit(type_) for _ in range(RUNS)]
    for trigger in triggers:
        (run_id,) = trigger.run_ids
        run = await pulse.engine.wait_for_run(run_id, timeout=RUN_SECONDS)
        assert run.status == "completed"
    return (time.process_time() - began) * 1_000 / RUNS


async def test_the_sandbox_costs_little(
    servers: EmbeddedServices, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds are interleaved; the median forgives a disturbed one."""
    measured: dict[tuple[str, str], list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        engines = {
            name: await stack.enter_async_context(working(servers, database, runner, monkeypatch))
            for name, runner in RUNNERS.items()
        }
        for type_, steps in SIZES.items():
            bones = [action(f"step{n}", uses="act", timeoutMs=SHORT) for n in range(steps)]
            await engines["sandbox"].define(type_, *bones)
        for _ in range(ROUNDS):
            for name, pulse in engines.items():
                for type_ in SIZES:
                    measured[type_, name].append(await cpu_ms(pulse, type_))

    lines = [f"CPU ms for a run, median of {ROUNDS} rounds of {RUNS}"]
    lines.append(f"{'steps':>6}{'sandbox':>12}{'no sandbox':>12}{'cost':>8}")
    costs: list[float] = []
    for type_, steps in SIZES.items():
        with_it, without = (median(measured[type_, name][1:]) for name in RUNNERS)
        costs.append(with_it - without)
        lines.append(f"{steps:>6}{with_it:>12.1f}{without:>12.1f}{with_it - without:>8.1f}")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert max(costs) < GOAL_MS
