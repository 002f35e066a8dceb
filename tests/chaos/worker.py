"""A worker process: it runs handlers, and relays what others have left in the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.chaos.stage import Errand, start
from tests.chaos.workload import make_engine


async def work(errand: Errand, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
    """Work until told to stop."""
    engine = make_engine(errand.dsn, errand.address, errand.effects)
    await start(engine, worker=True)
    ready()
    await stopping.wait()
    await engine.stop()
