"""What operators see of workers and tenants."""

from __future__ import annotations

from datetime import datetime, timedelta

from pulse_temporal.model.operator_views import TenantView, WorkerView
from pulse_temporal.model.views import BoundedCount
from pulse_temporal.postgres.sessions import Session

WALK = 10_000
"""Running runs whose open attempts are counted."""

BOUND = 1_000
"""Where counting of what a tenant has ends."""

COUNTED = ("definitions", "runs", "failed", "open", "retrying", "blocked")


async def list_workers(session: Session, *, silence: timedelta) -> list[WorkerView]:
    """Read all processes that are on record, those that were seen last first."""
    found = await session.rows("operator_views.workers", silence=silence, walk=WALK)
    return [
        WorkerView(
            id=row["id"],
            task_queue=row["task_queue"],
            actions=tuple(row["actions"]),
            conditions=tuple(row["conditions"]),
            signals=tuple(row["signals"]),
            dialect=row["dialect"],
            in_work=BoundedCount(count=row["attempts"], is_bounded=row["looked"] >= WALK),
            started_at=row["started_at"],
            seen_at=row["seen_at"],
            present_since=row["present_since"],
            is_live=row["is_live"],
        )
        for row in found
    ]


async def list_tenants(
    session: Session, *, after: str | None, since: datetime, limit: int
) -> list[TenantView]:
    """Read one page of tenants, in the order of their ids.

    Args:
        session: Any connection.
        after: The last tenant of the page before; None from the first.
        since: Earliest time of creation of the runs that are counted.
        limit: Rows.
    """
    found = await session.rows(
        "operator_views.tenants", after=after, since=since, bound=BOUND, row_limit=limit
    )
    return [
        TenantView(
            id=row["id"],
            oldest_pending_at=row["oldest_pending_at"],
            **{
                name: BoundedCount(count=min(row[name], BOUND), is_bounded=row[name] > BOUND)
                for name in COUNTED
            },
        )
        for row in found
    ]
