"""Which runs are on a page of summaries, how many there are, and what failed alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pulse_temporal.model.runs import RUN_TRANSITIONS
from pulse_temporal.model.view_filters import RunSummaryFilter
from pulse_temporal.model.views import BoundedCount, FailureGroup, RunCounts
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import runs
from pulse_temporal.store.places import KeysetPosition
from pulse_temporal.store.rows import required
from pulse_temporal.store.run_views import LATE_AFTER

WALK = 10_000
"""Runs that one page looks at, where no index knows what is wanted."""

BOUND = 10_000
"""Where counting ends."""

FAILED_RUNS = 1_000
"""Newest failed runs that are grouped."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the runs of one page are.

    Attributes:
        found: Newest first.
        looked_until: The page stopped to look here although it is not full; None: it did not.
    """

    found: list[KeysetPosition]
    looked_until: KeysetPosition | None = None


async def list_places(
    session: Session, wanted: RunSummaryFilter, *, after: KeysetPosition, limit: int
) -> Places:
    """Read where the runs of one page are, newest first.

    Args:
        session: Any connection.
        wanted: Which runs; with a type of signal, of one tenant.
        after: Where the page before has ended.
        limit: Rows.
    """
    if wanted.attention is not None:
        return Places(await _with_attention(session, wanted, after=after, limit=limit))
    if wanted.signal_type is not None:
        return await _of_signal_type(session, wanted, after=after, limit=limit)
    return Places(await runs.list_places(session, wanted, after=after, limit=limit))


async def _with_attention(
    session: Session, wanted: RunSummaryFilter, *, after: KeysetPosition, limit: int
) -> list[KeysetPosition]:
    asked = {**_page(wanted, after), **_narrowed(wanted), "row_limit": limit}
    if wanted.attention == "late":
        name, asked = "list_late", {**asked, "late_after": LATE_AFTER}
    else:
        name, asked = "list_held", {**asked, "is_blocked": wanted.attention == "blocked"}
    if wanted.tenant_id is None:
        name = f"{name}_of_all"
    else:
        asked["tenant_id"] = wanted.tenant_id
    found = await session.rows(f"run_lists.{name}", **asked)
    return [KeysetPosition(row["created_at"], row["id"]) for row in found]


async def _of_signal_type(
    session: Session, wanted: RunSummaryFilter, *, after: KeysetPosition, limit: int
) -> Places:
    walk = {**_page(wanted, after), "tenant_id": wanted.tenant_id, "walk": WALK}
    rows = await session.rows(
        "run_lists.list_signal_type", **walk, **_narrowed(wanted), row_limit=limit
    )
    found = [KeysetPosition(row["created_at"], row["id"]) for row in rows]
    if len(found) == limit:
        return Places(found)
    end = await session.row("run_lists.walk_end", **walk)
    return Places(found, KeysetPosition(end["created_at"], end["id"]) if end else None)


async def count(session: Session, wanted: RunSummaryFilter) -> RunCounts:
    """Count the runs of a list by status and by attention; those two fields do not narrow it."""
    counted = await _by_status(session, wanted.model_copy(update={"status": None}))
    held = await _by_attention(session, wanted)
    is_cut = held["looked"] > BOUND
    return RunCounts(
        **{status: counted.get(status, BoundedCount(count=0)) for status in RUN_TRANSITIONS},
        retrying=BoundedCount(count=min(held["retrying"], BOUND), is_bounded=is_cut),
        blocked=BoundedCount(count=min(held["blocked"], BOUND), is_bounded=is_cut),
        late=bounded(held["late"]),
    )


async def failures(
    session: Session,
    *,
    tenant_id: str | None,
    definition_id: str | None,
    since: datetime | None,
) -> list[FailureGroup]:
    """Group the newest failed runs by definition, failed step and error.

    Args:
        session: Any connection.
        tenant_id: None for any.
        definition_id: None for any.
        since: Earliest time of creation; None for any.
    """
    asked: dict[str, object] = {"since": since, "walk": FAILED_RUNS}
    if definition_id is not None:
        name = "run_lists.failures_of_definition"
        asked |= {"tenant_id": tenant_id, "definition_id": definition_id}
    elif tenant_id is not None:
        name, asked = "run_lists.failures", {**asked, "tenant_id": tenant_id}
    else:
        name = "run_lists.failures_of_all"
    found = await session.rows(name, **asked)
    return [FailureGroup.model_validate(dict(row.items())) for row in found]


def bounded(rows: int) -> BoundedCount:
    """Return the count of what was counted up to the bound and one more."""
    return BoundedCount(count=min(rows, BOUND), is_bounded=rows > BOUND)


async def _by_status(session: Session, wanted: RunSummaryFilter) -> Mapping[str, BoundedCount]:
    if wanted.trigger_id is not None or wanted.resource_id is not None:
        found = await session.rows(
            "run_lists.count_signal",
            **_span(wanted),
            **_narrowed(wanted),
            tenant_id=wanted.tenant_id,
        )
    elif wanted.signal_type is not None:
        return await _of_newest(session, wanted)
    else:
        found = await _of_index(session, wanted)
    return {row["status"]: bounded(row["runs"]) for row in found}


async def _of_index(session: Session, wanted: RunSummaryFilter) -> Sequence[Record]:
    asked = {**_span(wanted), "statuses": list(RUN_TRANSITIONS), "bound": BOUND}
    if wanted.definition_id is not None:
        return await session.rows(
            "run_lists.count_definition",
            **asked,
            tenant_id=wanted.tenant_id,
            definition_id=wanted.definition_id,
        )
    if wanted.tenant_id is not None:
        return await session.rows("run_lists.count_tenant", **asked, tenant_id=wanted.tenant_id)
    return await session.rows("run_lists.count_all", **asked)


async def _of_newest(session: Session, wanted: RunSummaryFilter) -> Mapping[str, BoundedCount]:
    found = await session.rows(
        "run_lists.count_signal_type",
        **_span(wanted),
        **_narrowed(wanted),
        tenant_id=wanted.tenant_id,
        walk=WALK,
    )
    is_cut = sum(row["looked"] for row in found) >= WALK
    return {row["status"]: BoundedCount(count=row["runs"], is_bounded=is_cut) for row in found}


async def _by_attention(session: Session, wanted: RunSummaryFilter) -> Record:
    """Count as the list does whose attention is asked for: whatever the status."""
    asked = {
        **_span(wanted),
        **_narrowed(wanted.model_copy(update={"status": None})),
        "late_after": LATE_AFTER,
        "bound": BOUND,
    }
    if wanted.tenant_id is None:
        row = await session.row("run_lists.count_attention_of_all", **asked)
    else:
        row = await session.row("run_lists.count_attention", **asked, tenant_id=wanted.tenant_id)
    return required(row, "the counts")


def _page(wanted: RunSummaryFilter, after: KeysetPosition) -> dict[str, object]:
    """Return the parameters of the fragment within_page."""
    until = after.not_before(wanted.created_before)
    return {"since": wanted.created_after, "before_at": until.at, "before_id": until.id}


def _span(wanted: RunSummaryFilter) -> dict[str, object]:
    return {"since": wanted.created_after, "before": wanted.created_before}


def _narrowed(wanted: RunSummaryFilter) -> dict[str, object]:
    """Return the parameters of the fragment narrowed."""
    return {
        "statuses": wanted.statuses,
        "definition_id": wanted.definition_id,
        "trigger_id": wanted.trigger_id,
        "resource_id": wanted.resource_id,
        "signal_type": wanted.signal_type,
    }
