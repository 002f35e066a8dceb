"""Look at many runs at once: has anything changed in them?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pulse_temporal.postgres.sessions import Session


@dataclass(frozen=True, slots=True)
class RunToWatch:
    """A run that is watched, by whoever may see the runs of this tenant; None: all tenants."""

    run_id: str
    tenant_id: str | None


@dataclass(frozen=True, slots=True)
class RunState:
    """What differs between two looks when something has changed in a run."""

    status: str
    updated_at: datetime
    event_seq: int | None
    log_seq: int | None


async def states(session: Session, watched: Collection[RunToWatch]) -> dict[RunToWatch, RunState]:
    """Read how runs stand; those that do not exist, or are another tenant's, are left out."""
    found = await session.rows(
        "feed.watched",
        run_ids=[run.run_id for run in watched],
        tenant_ids=[run.tenant_id for run in watched],
    )
    return {
        RunToWatch(row["run_id"], row["tenant_id"]): RunState(
            row["status"], row["updated_at"], row["event_seq"], row["log_seq"]
        )
        for row in found
    }
