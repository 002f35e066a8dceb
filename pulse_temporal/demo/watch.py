"""Read runs again and again until they are over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from pulse_temporal.engine.facade import Engine
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES, WorkflowRun, WorkflowStepRun
from pulse_temporal.model.timeline import RunTimelineEntry

POLL_INTERVAL = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """What was read of a run at one time.

    The fields are read in their order. So when ``run`` is over, the others are complete.
    """

    run: WorkflowRun
    entries: Sequence[RunTimelineEntry]
    steps: Sequence[WorkflowStepRun]

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.run.status in TERMINAL_RUN_STATUSES

    @property
    def ended_at(self) -> datetime | None:
        """When the run ended; None before."""
        return self.run.completed_at or self.run.failed_at or self.run.canceled_at

    @property
    def waits_until(self) -> datetime | None:
        """When the next delay ends; None when none is running."""
        waits = [step.scheduled_for for step in self.steps if step.status == "scheduled"]
        return min((wait for wait in waits if wait is not None), default=None)

    def step_name(self, path: JsonValue) -> str:
        """Return the name of the step at ``path``, or the path itself."""
        return next((step.step_name for step in self.steps if step.path == path), str(path))


Show = Callable[[Sequence[WatchedRun]], None]
"""Shows the newest views of all runs, always in the same order."""


async def look(engine: Engine, run_id: str) -> WatchedRun:
    """Read a run with its timeline and its steps.

    Raises:
        NotFoundError: There is no such run.
    """
    run = await engine.get_run(run_id)
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.")
    return WatchedRun(
        run=run,
        entries=await engine.get_run_timeline(run_id),
        steps=await engine.get_run_steps(run_id),
    )


async def follow(
    engine: Engine, run_ids: Sequence[str], *, show: Show, limit: timedelta
) -> list[WatchedRun]:
    """Show runs until all of them are over or ``limit`` has passed; return the last views."""
    deadline = time.monotonic() + limit.total_seconds()
    views = [await look(engine, run_id) for run_id in run_ids]
    while True:
        show(views)
        if all(view.is_over for view in views) or time.monotonic() > deadline:
            return views
        await asyncio.sleep(POLL_INTERVAL.total_seconds())
        views = [view if view.is_over else await look(engine, view.run.id) for view in views]
