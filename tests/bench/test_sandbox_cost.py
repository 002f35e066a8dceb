"""What the sandbox costs: CPU time to interpret a run, with it and without it.

Histories are replayed, so that neither the server nor Postgres is measured along. Unset
``PYTHONDONTWRITEBYTECODE`` in a checkout: without byte code on disk the sandbox compiles the
sealed room for every run, which costs some 4 ms more. Installed packages have theirs.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner

from tests.sandbox import workflow_runner
from pulse_temporal.workflows.pulse import PulseRun
from tests.harness import PulseTest, action

pytestmark = pytest.mark.bench

ROUNDS = 7
RUNS = 60
GOAL_MS = 10.0
SHORT = 1_000
"""A declared timeout that makes a step a local activity: the cheapest run there is."""

RUNNERS: dict[str, Callable[[], WorkflowRunner]] = {
    "sandbox": workflow_runner,
    "no sandbox": UnsandboxedWorkflowRunner,
}


async def history_of(pulse: PulseTest, *, steps: int) -> WorkflowHistory:
    """Run a definition once and give what Temporal recorded."""
    type_ = f"bench.of.{steps}"
    bones = [action(f"step{index}", uses="act", timeoutMs=SHORT) for index in range(steps)]
    await pulse.define(type_, *bones)
    run = await pulse.emit_and_wait(type_)
    handle = await pulse.workflow(run.id)
    await handle.result()
    return await handle.fetch_history()


async def cpu_ms(history: WorkflowHistory, runner: WorkflowRunner) -> float:
    """Give the CPU time of this process to interpret a run once."""
    replayer = Replayer(
        workflows=[PulseRun], workflow_runner=runner, data_converter=pydantic_data_converter
    )

    async def copies() -> AsyncGenerator[WorkflowHistory]:
        for _ in range(RUNS):
            yield history

    began = time.process_time()
    async with replayer.workflow_replay_iterator(copies()) as results:
        async for result in results:
            assert result.replay_failure is None
    return (time.process_time() - began) * 1_000 / RUNS


async def test_the_sandbox_costs_little(pulse: PulseTest) -> None:
    """The goal is for what every run pays; each step adds the SDK's own part, some 0.5 ms.

    Rounds are interleaved, and the cheapest is the one that was disturbed least.
    """
    pulse.action("act")
    histories = {steps: await history_of(pulse, steps=steps) for steps in (0, 3)}
    await pulse.engine.stop()
    measured: dict[tuple[int, str], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for steps, history in histories.items():
            for name, runner in RUNNERS.items():
                measured[steps, name].append(await cpu_ms(history, runner()))

    lines = [
        f"CPU ms to interpret a run, the cheapest of {ROUNDS} rounds of {RUNS}",
        f"{'steps':>6}{'sandbox':>12}{'no sandbox':>12}{'cost':>8}",
    ]
    costs: list[float] = []
    for steps in histories:
        with_it, without = (min(measured[steps, name]) for name in RUNNERS)
        costs.append(with_it - without)
        lines.append(f"{steps:>6}{with_it:>12.1f}{without:>12.1f}{costs[-1]:>8.1f}")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert costs[0] < GOAL_MS
