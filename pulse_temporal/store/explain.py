"""Definitions that a signal might start, as they were at its moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from pulse_temporal.model.explain import Candidate
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.sessions import Session

MOST_TYPES = 500

_COLUMNS = [field.name for field in fields(Candidate)]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Definitions that a signal might start.

    Attributes:
        found: So many as were asked for, those that match first.
        total: How many there are.
        matching: How many of them match.
        steps: Of those that match, altogether.
        started: How many of them a stored signal has started.
    """

    found: tuple[Candidate, ...] = ()
    total: int = 0
    matching: int = 0
    steps: int = 0
    started: int = 0


async def candidates(
    session: Session,
    signal: TriggerInput,
    *,
    types: Sequence[str],
    owner: str | None,
    limit: int,
) -> Candidates:
    """Read the definitions that a signal might start: as they are, or were when it was stored.

    Args:
        session: Where.
        signal: Its tenant's definitions are read.
        types: Its type, and others that are like it.
        owner: The definition whose cron ticked, where the signal is a tick.
        limit: Most definitions that are returned.
    """
    stored = signal if isinstance(signal, TriggerEnvelope) else None
    found = await session.rows(
        "explain.candidates",
        tenant_id=signal.tenant_id,
        type=signal.type,
        environment=signal.environment,
        resource_type=signal.resource_type,
        types=[*types],
        at=stored.created_at if stored else None,
        trigger_id=stored.id if stored else None,
        is_replay=stored.is_replay if stored else False,
        owner=owner,
        row_limit=limit,
    )
    if not found:
        return Candidates()
    first = found[0]
    return Candidates(
        found=tuple(Candidate(**{name: row[name] for name in _COLUMNS}) for row in found),
        total=first["candidates"],
        matching=first["matching"],
        steps=first["steps"],
        started=first["started"],
    )


async def types(session: Session, *, tenant_id: str) -> list[str]:
    """Read the types of signals that a tenant's definitions wait for, at most 500."""
    found = await session.rows("explain.types", tenant_id=tenant_id, row_limit=MOST_TYPES)
    return [row["trigger_type"] for row in found]
