"""What lists of definitions show beside the definitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import TypeAdapter

from pulse_temporal.model.definition_views import DefinitionActivity, RunMark
from pulse_temporal.model.runs import RUN_TRANSITIONS
from pulse_temporal.model.views import BoundedCount
from pulse_temporal.postgres.sessions import Session

BOUND = 1_000
"""Where counting ends."""

NEWEST = 10
"""Newest runs of each definition."""

MARKS = TypeAdapter(tuple[RunMark, ...])


async def activity(
    session: Session,
    definition_ids: Sequence[str],
    *,
    tenant_id: str | None,
    since: datetime | None,
) -> list[DefinitionActivity]:
    """Read what definitions have done, in no order.

    Args:
        session: Any connection.
        definition_ids: Of which; those of another tenant are left out.
        tenant_id: None for any.
        since: Earliest time of creation of the runs that are counted; None for any.
    """
    found = await session.rows(
        "definition_views.activity",
        definition_ids=list(definition_ids),
        tenant_id=tenant_id,
        since=since,
        statuses=list(RUN_TRANSITIONS),
        bound=BOUND,
        newest=NEWEST,
    )
    return [
        DefinitionActivity(
            definition_id=row["definition_id"],
            completed=_bounded(row["completed"]),
            failed=_bounded(row["failed"]),
            newest=MARKS.validate_json(row["newest"] or "[]"),
        )
        for row in found
    ]


def _bounded(rows: int) -> BoundedCount:
    return BoundedCount(count=min(rows, BOUND), is_bounded=rows > BOUND)
