"""Signals as lists and pages show them, and the chains that they are part of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pulse_temporal.model.signal_views import SignalSummary
from pulse_temporal.model.view_filters import SignalFilter
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.places import KeysetPosition

WALK = 10_000
"""Signals that one page looks at."""


@dataclass(frozen=True, slots=True)
class ListedSignals:
    """The signals of one page.

    Attributes:
        found: Newest first.
        looked_until: The page stopped to look here although it is not full; None: it did not.
    """

    found: list[SignalSummary]
    looked_until: KeysetPosition | None = None


@dataclass(frozen=True, slots=True)
class LinkedSignal:
    """A signal of a chain, and the run whose handler emitted it."""

    id: str
    source: str
    type: str
    resource_type: str | None
    resource_id: str | None
    depth: int
    caused_by_run_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LinkedRun:
    """A run of a chain, and the signal that started it."""

    id: str
    trigger_id: str
    definition_id: str
    definition_name: str
    status: str
    is_replay: bool
    created_at: datetime


async def list_signals(
    session: Session, wanted: SignalFilter, *, after: KeysetPosition, limit: int
) -> ListedSignals:
    """Read one page of signals, newest first.

    Args:
        session: Any connection.
        wanted: Which signals, of one tenant.
        after: Where the page before has ended.
        limit: Rows.
    """
    until = after.not_before(wanted.created_before)
    which, walk = _index(wanted)
    walk |= {
        "since": wanted.created_after,
        "before_at": until.at,
        "before_id": until.id,
        "walk": WALK,
    }
    rows = await session.rows(
        f"signal_views.list_{which}",
        **{
            **walk,
            "type": wanted.type,
            "resource_id": wanted.resource_id,
            "source": wanted.source,
            "resource_type": wanted.resource_type,
            "environment": wanted.environment,
            "is_matched": wanted.is_matched,
            "row_limit": limit,
        },
    )
    found = [SignalSummary.model_validate(dict(row.items())) for row in rows]
    if len(found) == limit:
        return ListedSignals(found)
    end = await session.row(f"signal_views.end_{which}", **walk)
    return ListedSignals(found, KeysetPosition(end["created_at"], end["id"]) if end else None)


def _index(wanted: SignalFilter) -> tuple[str, dict[str, object]]:
    """Return which kind of list it is, and the parameters that only this kind has."""
    of_tenant: dict[str, object] = {"tenant_id": wanted.tenant_id}
    if wanted.resource_id is not None:
        return "resource", of_tenant | {"resource_id": wanted.resource_id}
    if wanted.type is not None:
        return "type", of_tenant | {"type": wanted.type}
    return "tenant", of_tenant


async def chain_signals(
    session: Session, trigger_id: str, *, tenant_id: str | None, limit: int
) -> list[LinkedSignal]:
    """Read the chain of a signal, its first signal first; empty when there is no such signal."""
    found = await session.rows(
        "signal_views.chain_signals", trigger_id=trigger_id, tenant_id=tenant_id, row_limit=limit
    )
    return [LinkedSignal(**dict(row.items())) for row in found]


async def chain_runs(
    session: Session, trigger_ids: Sequence[str], *, tenant_id: str | None, limit: int
) -> list[LinkedRun]:
    """Read the runs that signals have started, oldest first."""
    found = await session.rows(
        "signal_views.chain_runs",
        trigger_ids=trigger_ids,
        tenant_id=tenant_id,
        row_limit=limit,
    )
    return [LinkedRun(**dict(row.items())) for row in found]
