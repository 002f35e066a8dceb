"""``pulse migrate``: create or update the tables."""

from __future__ import annotations

import asyncio
import sys

from pulse_temporal.cli.connection import connect
from pulse_temporal.cli.logs import no_log


def migrate() -> None:
    """Create or update the tables, as engine.migrate() does.

    Safe to repeat, and from many places at once. Connects with DATABASE_URL; PULSE_TABLE_PREFIX
    and PULSE_QUEUE_PREFIX as the workers have them.
    """
    with no_log():
        applied = asyncio.run(apply())
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    if not applied:
        sys.stdout.write("The tables are up to date.\n")


async def apply() -> list[str]:
    """Apply the missing migrations and return their names."""
    engine = connect()
    try:
        return await engine.migrate()
    finally:
        await engine.stop()
