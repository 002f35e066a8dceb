"""What a search box finds."""

from __future__ import annotations

from collections.abc import Sequence

from pulse_temporal.model.signal_views import SearchResult
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session

WALK = 10_000
"""Ids or definitions that one search looks at."""


async def by_id(session: Session, text: str, *, tenant_id: str | None) -> list[SearchResult]:
    """Find what has exactly this id: a run, a signal, a definition or a step of a run."""
    return _results(await session.rows("searches.by_id", id=text, tenant_id=tenant_id))


async def by_prefix(
    session: Session, text: str, *, tenant_id: str | None, limit: int
) -> list[SearchResult]:
    """Find runs, signals and definitions whose ids begin so, newest first."""
    found = await session.rows(
        "searches.by_prefix", prefix=text, tenant_id=tenant_id, walk=WALK, row_limit=limit
    )
    return _results(found)


async def by_key(session: Session, text: str, *, tenant_id: str, limit: int) -> list[SearchResult]:
    """Find the signal with this idempotency key, and the newest about this resource."""
    found = await session.rows("searches.by_key", text=text, tenant_id=tenant_id, row_limit=limit)
    return _results(found)


async def by_name(
    session: Session, text: str, *, tenant_id: str, limit: int
) -> list[SearchResult]:
    """Find the definitions whose name, or the name of a step of theirs, begins so."""
    found = await session.rows(
        "searches.by_name",
        pattern=_beginning(text),
        tenant_id=tenant_id,
        walk=WALK,
        row_limit=limit,
    )
    return _results(found)


def _beginning(text: str) -> str:
    """Return the pattern of what begins with a text, whatever characters it has."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"{text}%"


def _results(found: Sequence[Record]) -> list[SearchResult]:
    return [SearchResult.model_validate(dict(row.items())) for row in found]
