"""A program that leaves its event loop with an engine at work: ``leaver.py DSN TEMPORAL HOW``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from datetime import timedelta

from pulse_temporal import WorkflowContext, create_engine

RUNS = 40
STEPS = 4


async def main(dsn: str, temporal_address: str, how: str) -> None:
    """Leave in the middle of many runs."""
    engine = create_engine(
        dsn, temporal_address, queue_prefix=f"leaver-{how}", shutdown_grace=timedelta(seconds=1)
    )
    calls = 0
    is_busy = asyncio.Event()

    async def work(_: WorkflowContext) -> None:
        nonlocal calls
        calls += 1
        if calls == RUNS:
            is_busy.set()
        await asyncio.sleep(0.05)

    engine.register_trigger("t", source="s")
    engine.register_action("work", work)
    await engine.start()
    steps = [
        {
            "type": "action",
            "name": f"work-{i}",
            "uses": "work",
            "timeoutMs": 1000 + 59_000 * (i % 2),
        }
        for i in range(STEPS)
    ]
    definition = {"tenantId": how, "name": "n", "triggerType": "t", "steps": steps}
    await engine.create_workflow(definition)
    for _ in range(RUNS):
        await engine.emit({"tenantId": how, "source": "s", "type": "t"})
    await is_busy.wait()
    if how == "raise":
        raise RuntimeError("left by an error")
    if how == "cut":
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(engine.stop(), timeout=0.01)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(*sys.argv[1:]))
