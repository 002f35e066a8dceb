"""Replays with an idempotency key: taken once, and the runs that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulse_temporal.postgres.sessions import Session


@dataclass(frozen=True, slots=True)
class Replay:
    """What a key stands for."""

    trigger_id: str
    is_dry_run: bool
    run_ids: tuple[str, ...]


async def take(
    session: Session, *, tenant_id: str, key: str, trigger_id: str, is_dry_run: bool
) -> bool:
    """Take a key, in the transaction that plans the runs; False when it was taken before."""
    row = await session.row(
        "replays.take", tenant_id=tenant_id, key=key, trigger_id=trigger_id, is_dry_run=is_dry_run
    )
    return row is not None


async def note(session: Session, *, tenant_id: str, key: str, run_ids: Sequence[str]) -> None:
    """Keep the runs that a replay has planned, in the transaction that took its key."""
    await session.run("replays.note", tenant_id=tenant_id, key=key, run_ids=list(run_ids))


async def find(session: Session, *, tenant_id: str, key: str) -> Replay | None:
    """Read what a key stands for; None when it is free."""
    row = await session.row("replays.find", tenant_id=tenant_id, key=key)
    if row is None:
        return None
    return Replay(row["trigger_id"], row["is_dry_run"], tuple(row["run_ids"]))
