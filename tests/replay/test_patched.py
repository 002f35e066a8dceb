"""The worked example of CONTRIBUTING: a change of commands that open runs survive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from pulse_temporal.workflows.interpreter import Interpreter
from pulse_temporal.workflows.pulse import PulseBranch, PulseRun
from tests.replay.test_replay import recorded

waits_of_today = Interpreter._wait  # pyright: ignore[reportPrivateUsage] - what is changed

BREATH = timedelta(milliseconds=1)

Wait = Callable[[Interpreter, int], Awaitable[None]]


async def changed(interpreter: Interpreter, index: int) -> None:
    """Breathe before each delay: one command more than is on record."""
    await workflow.sleep(BREATH, summary="breathe")
    await waits_of_today(interpreter, index)


async def changed_and_guarded(interpreter: Interpreter, index: int) -> None:
    """The same, but runs that have come this far with the old code keep to it."""
    if workflow.patched("2026-11-22-breathe"):
        await workflow.sleep(BREATH, summary="breathe")
    await waits_of_today(interpreter, index)


async def replay_waits(monkeypatch: pytest.MonkeyPatch, wait: Wait) -> None:
    """Replay a run with a delay on an interpreter that waits in another way."""
    monkeypatch.setattr(Interpreter, "_wait", wait)
    replayer = Replayer(
        workflows=[PulseRun, PulseBranch],
        workflow_runner=UnsandboxedWorkflowRunner(),  # else it would load the module anew
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(next(recorded("waits")).history())


async def test_an_unguarded_change_would_stop_open_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replay_waits(monkeypatch, changed)


async def test_a_guarded_change_lets_open_runs_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    await replay_waits(monkeypatch, changed_and_guarded)
