"""Commands to Temporal, written with the change they follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.store.control import Control
from pulse_temporal.store.sessions import Session

CommandKind = Literal["start", "cancel", "schedule"]
RunCommandKind = Literal["start", "cancel"]
Subject = Literal["runs", "schedules"]


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


async def lease(
    session: Session, subject: Subject, *, task_queue: str, length: timedelta, limit: int
) -> list[OutboxCommand]:
    """Take due commands of one queue, oldest first and in order within a run.

    Commands of a dialect that this release does not know are left to newer ones.
    """
    statement = "outbox.lease" if subject == "runs" else "outbox.lease_schedules"
    found = await session.rows(statement, length, limit, task_queue, DIALECT)
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


async def give_back(session: Session, ids: Sequence[int]) -> None:
    """End the leases of commands that this process will not execute."""
    await session.run("outbox.give_back", ids)


async def postpone(session: Session, command_id: int, *, pause: timedelta, error: str) -> None:
    """Give a command back after a failure."""
    await session.run("outbox.postpone", command_id, pause, error)


async def put(session: Session, kind: RunCommandKind, *, run_id: str, control: Control) -> None:
    """Write a command about a run, for the engines that share it."""
    await session.run(
        "outbox.put",
        kind,
        control.tenant_id,
        run_id,
        control.generation,
        control.task_queue,
    )


async def put_schedule(
    session: Session, *, tenant_id: str, definition_id: str, task_queue: str
) -> None:
    """Ask for a definition's schedule to be made equal to its row; many wishes are one."""
    await session.run("outbox.put_schedule", tenant_id, definition_id, task_queue)


async def existing(session: Session, ids: Sequence[int]) -> frozenset[int]:
    """Say which of these commands are there."""
    return frozenset(row["id"] for row in await session.rows("outbox.existing", ids))
