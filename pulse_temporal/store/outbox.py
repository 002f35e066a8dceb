"""Commands to Temporal, written with the change they follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pulse_temporal.store.database import Session
from pulse_temporal.store.rows import required

CommandKind = Literal["start", "cancel", "schedule"]
RunCommandKind = Literal["start", "cancel"]


@dataclass(frozen=True, slots=True)
class OutboxCommand:
    """A command that this process has leased.

    Attributes:
        subject_id: A run; the definition when it is about a schedule.
        tries: How often it was leased, this time included.
    """

    id: int
    kind: CommandKind
    tenant_id: str
    subject_id: str
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
            subject_id=row["subject_id"],
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
    session: Session, kind: RunCommandKind, *, tenant_id: str, run_id: str, generation: int
) -> int:
    """Write a command about a run and give its id."""
    row = await session.row("outbox.put", kind, tenant_id, run_id, None, generation)
    return required(row, "a new outbox command")["id"]


async def put_schedule(session: Session, *, tenant_id: str, definition_id: str) -> None:
    """Ask for a definition's schedule to be made equal to its row."""
    await session.row("outbox.put", "schedule", tenant_id, None, definition_id, 1)
