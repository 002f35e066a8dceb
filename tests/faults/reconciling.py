"""What the tests of the reconciler share."""

from __future__ import annotations

import asyncpg

from pulse_temporal import ReconcileReport
from pulse_temporal.services.care.comparison import ComparisonPace
from pulse_temporal.services.care.reconcile import Reconciler
from tests.harness import PulseTest, eventually

HOUR = 3_600_000


def reconciler_of(pulse: PulseTest, pace: ComparisonPace) -> Reconciler:
    """Return a reconciler like the worker's, with a pace of its own."""
    process = pulse.engine._parts.process  # pyright: ignore[reportPrivateUsage] - a worker's turn
    found = process.reconciler
    return Reconciler(
        found.database, found.repairs.observers, found.options, clock=found.clock, pace=pace
    )


async def emitted(pulse: PulseTest) -> str:
    """Emit the signal of the test's one definition; give the run's id."""
    (run_id,) = (await pulse.emit("found.wanting")).run_ids
    return run_id


def found(report: ReconcileReport) -> list[tuple[str, str, str]]:
    """Return what a report says, shortly."""
    return [(repair.subject_id, repair.found, repair.remedy) for repair in report.repairs]


async def repairs_told(pulse: PulseTest, run_id: str) -> list[str]:
    """Return the repairs that a run's timeline tells of."""
    entries = await pulse.engine.get_run_timeline(run_id)
    told: list[str] = []
    for entry in entries:
        data = entry.detail.get("data")
        if isinstance(data, dict) and data.get("source") == "reconciler":
            told.append(str(data["repair"]))
    return told


async def begun(pulse: PulseTest, run_id: str) -> None:
    """Wait until no command about a run is left in the outbox."""
    connection = await asyncpg.connect(pulse.dsn)
    try:

        async def look() -> bool:
            count = "SELECT count(*) FROM pulse_outbox WHERE run_id = $1"
            return await connection.fetchval(count, run_id) == 0

        await eventually(look)
    finally:
        await connection.close()


async def forget_commands(pulse: PulseTest) -> None:
    """Lose the outbox, as a Postgres that was restored from yesterday may have."""
    connection = await asyncpg.connect(pulse.dsn)
    await connection.execute("DELETE FROM pulse_outbox")
    await connection.close()
