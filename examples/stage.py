"""What all examples need around them: servers, short delays, a timeline on the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory

from pulse_temporal import Engine, WorkflowRun
from pulse_temporal.embedded import embedded_services

LONGEST_WAIT = timedelta(seconds=1)


@asynccontextmanager
async def servers() -> AsyncGenerator[tuple[str, str]]:
    """Yield a DSN and a Temporal address: yours, or those of servers that live in this block.

    Yours are named by DATABASE_URL and TEMPORAL_ADDRESS.
    """
    dsn, address = os.environ.get("DATABASE_URL"), os.environ.get("TEMPORAL_ADDRESS")
    if dsn and address:
        yield dsn, address
        return
    with TemporaryDirectory(prefix="pulse-example-", ignore_cleanup_errors=True) as folder:
        async with embedded_services(folder, durable=False, ui=False) as services:
            yield services.dsn, services.temporal_address


def shortened(wait: timedelta) -> int:
    """Return a delay in milliseconds: at most a second, or in full with ``--in-full``."""
    length = wait if "--in-full" in sys.argv else min(wait, LONGEST_WAIT)
    return length // timedelta(milliseconds=1)


async def tell(engine: Engine, run_id: str) -> WorkflowRun:
    """Wait until a run is over, print its timeline and give it."""
    run = await engine.wait_for_run(run_id, timeout=timedelta(days=30).total_seconds())
    print(f"\n{run.definition_snapshot.name}: {run.status}")
    for entry in await engine.get_run_timeline(run_id):
        what = entry.detail.get("message") or entry.detail.get("error") or ""
        print(f"  {entry.type:<15} {entry.step_name or '':<20} {what}".rstrip())
    return run
