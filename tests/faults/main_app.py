"""The application of the workers that ``test_sigterm_storm.py`` starts; see ``PULSE_APP``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pulse_temporal import Engine, WorkflowContext

FOLDER = Path(os.environ["STORM_FOLDER"])


def register(engine: Engine) -> None:
    """Register an action that takes its time, one with an effect, and one that never ends."""
    engine.register_action("work", work)
    engine.register_action("pay", pay, transactional=True)
    engine.register_action("hold", hold)


async def work(ctx: WorkflowContext) -> None:
    """Take a moment, as a call to somebody else does."""
    await asyncio.sleep(0.2)
    ctx.log("worked")


async def pay(ctx: WorkflowContext) -> None:
    """Leave an effect in the application's own table."""
    await ctx.connection.execute("INSERT INTO payments VALUES ($1)", ctx.run.id)


async def hold(ctx: WorkflowContext) -> None:
    """Say that it was called, and wait for ever."""
    (FOLDER / "held").write_text(ctx.run.id, encoding="ascii")
    await asyncio.Event().wait()
