"""Commands to Temporal, written with the change they follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pulse_temporal.store.database import Session
from pulse_temporal.store.rows import required

CommandKind = Literal["start", "cancel"]


@dataclass(frozen=True, slots=True)
class OutboxCommand:
    """A command that this process has leased.

    Attributes:
        tries: How often it was leased, this time included.
    """

    id: int
    kind: CommandKind
    tenant_id: str
    run_id: str
    generation: int
    tries: int


async def lease(session: Session, *, length: timedelta, limit: int) -> list[OutboxCommand]:
    """Take due commands, oldest first and in order within a run."""
    found = await session.rows("outbox.lease", length, limit)
    commands = [
        OutboxCommand(
            id=row["id"],
            kind=row["kind"],
            tenant_id=row["tenant_id"],
            run_id=row["run_id"],
            generation=row["generation"],
            tries=row["tries"],
        )
        for row in found
    ]
    return sorted(commands, key=lambda command: command.id)


async def done(session: Session, ids: Sequence[int]) -> None:
    """Delete executed commands."""
    await session.run("outbox.done", ids)


async def postpone(session: Session, command_id: int, *, pause: timedelta, error: str) -> None:
    """Give a command back after a failure."""
    await session.run("outbox.postpone", command_id, pause, error)


async def put(
    session: Session, kind: CommandKind, *, tenant_id: str, run_id: str, generation: int
) -> int:
    """Write a command and give its id."""
    row = await session.row("outbox.put", kind, tenant_id, run_id, None, generation)
    return required(row, "a new outbox command")["id"]
