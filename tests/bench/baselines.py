"""What a Temporal user writes by hand: the workflows that Pulse is measured against."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

STEPS = 3
LONG_ENOUGH = timedelta(seconds=10)


@workflow.defn
class Empty:
    """Does nothing: the limit of what one workflow a run can reach."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Return the name back."""
        return name


@workflow.defn
class Raw:
    """Three plain activities, no mirror."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Work three times."""
        for step in range(STEPS):
            await workflow.execute_activity(
                "work", f"{name}/{step}", start_to_close_timeout=LONG_ENOUGH
            )
        return name


@workflow.defn
class RawLocal:
    """Three local activities, no mirror."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Work three times."""
        for step in range(STEPS):
            await workflow.execute_local_activity(
                "work", f"{name}/{step}", start_to_close_timeout=LONG_ENOUGH
            )
        return name


@workflow.defn
class RawMirrored:
    """Three plain activities that write their own rows, and one for the end of the run.

    Whoever starts it has written the row of the run.
    """

    @workflow.run
    async def run(self, name: str) -> str:
        """Work three times, then write that the run is over."""
        for step in range(STEPS):
            await workflow.execute_activity(
                "mirrored", f"{name}/{step}", start_to_close_timeout=LONG_ENOUGH
            )
        await workflow.execute_activity("ended", name, start_to_close_timeout=LONG_ENOUGH)
        return name


@workflow.defn
class RawBranch:
    """One plain activity, as the child of another workflow."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Work once."""
        await workflow.execute_activity("work", name, start_to_close_timeout=LONG_ENOUGH)
        return name


@workflow.defn
class RawBranches:
    """Three child workflows, gathered."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Start all children, wait for all."""
        children = (
            workflow.execute_child_workflow(RawBranch.run, f"{name}/{n}", id=f"{name}/{n}")
            for n in range(STEPS)
        )
        await asyncio.gather(*children)
        return name


WORKFLOWS = (Empty, Raw, RawLocal, RawMirrored, RawBranch, RawBranches)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an activity gives back, as a handler of Pulse gives a small mapping."""

    n: int


@activity.defn
async def work(name: str) -> Answer:
    """Do next to nothing."""
    return Answer(len(name))
