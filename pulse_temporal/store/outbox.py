"""Commands to Temporal, written with the change they follow from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.control import Control
from pulse_temporal.store.rows import required

CommandKind = Literal["start", "cancel", "schedule"]
RunCommandKind = Literal["start", "cancel"]
Subject = Literal["runs", "schedules"]

BUSY = timedelta(milliseconds=200)
"""A handler that has worked for so long will probably go on for a while."""


@dataclass(frozen=True, slots=True)
class OutboxCommand:
    """A command that this process has leased.

    Attributes:
        subject_id: A run; the definition when it is about a schedule.
        dialect: The one that it needs.
        tries: How often it was leased, this time included.
        share: Most commands that a tenant could have in this lease, its dialects together.
        last_turn: The tenant that had the last turn in it.
    """

    id: int
    kind: CommandKind
    tenant_id: str
    subject_id: str
    generation: int
    dialect: int
    tries: int
    share: int
    last_turn: str


@dataclass(frozen=True, slots=True)
class StartedRun:
    """How a run stands that has begun.

    Attributes:
        run_id: Which.
        begun_for_s: How long ago it began.
        is_at_rest: It is over, it waits, or a handler of it has worked for ``BUSY``.
    """

    run_id: str
    begun_for_s: float
    is_at_rest: bool


async def lease(  # noqa: PLR0913 - all but two are given by name
    session: Session,
    subject: Subject,
    *,
    task_queue: str,
    length: timedelta,
    limit: int,
    after: str = "",
    passed_over: Sequence[str] = (),
) -> list[OutboxCommand]:
    """Take due commands of one queue: of each tenant an equal share, in order within a run.

    Commands of a dialect that this release does not know are left to newer ones.

    Args:
        session: Where to take them.
        subject: What they are about.
        task_queue: Whose commands.
        length: Of the lease.
        limit: Most commands.
        after: The tenant after which the turns begin; with more tenants than ``limit`` the next
            ones have their turn.
        passed_over: Tenants that have no turn now, because nobody could execute theirs.
    """
    found = await session.rows(
        "outbox.lease",
        length=length,
        command_limit=limit,
        task_queue=task_queue,
        dialect=DIALECT,
        subject=subject,
        after_tenant=after,
        passed_over=list(passed_over),
    )
    return _commands(found)


async def lease_new(
    session: Session,
    subject: Subject,
    *,
    task_queue: str,
    length: timedelta,
    share: int,
    turns: Mapping[str, int],
) -> list[OutboxCommand]:
    """Take commands that nobody has leased yet, reading none of those before them.

    Args:
        session: Where to take them.
        subject: What they are about.
        task_queue: Whose commands.
        length: Of the lease.
        share: Most commands of each tenant and dialect.
        turns: Tenants, and the id of a command after which theirs go on.
    """
    tenants, after = list(turns), list(turns.values())
    found = await session.rows(
        "outbox.lease_new",
        length=length,
        share=share,
        task_queue=task_queue,
        dialect=DIALECT,
        subject=subject,
        tenants=tenants,
        after_ids=after,
    )
    return _commands(found)


async def newest(session: Session) -> int | None:
    """Read the newest id, committed or not; None when it cannot be known."""
    return required(await session.row("outbox.newest"), "the sequence of the outbox")["id"]


async def newcomers(
    session: Session, subject: Subject, *, task_queue: str, since: int
) -> dict[str, int]:
    """Read which tenants have new commands after an id, and after which id theirs begin."""
    found = await session.rows(
        "outbox.newcomers",
        task_queue=task_queue,
        subject=subject,
        after_id=since,
        dialect=DIALECT,
    )
    return {row["tenant_id"]: row["after"] for row in found}


def _commands(found: Sequence[Record]) -> list[OutboxCommand]:
    commands = [OutboxCommand(**dict(row.items())) for row in found]
    return sorted(commands, key=lambda command: command.id)


async def done(session: Session, ids: Sequence[int]) -> None:
    """Delete executed commands."""
    await session.run("outbox.done", ids=ids)


async def give_back(session: Session, ids: Sequence[int]) -> None:
    """End the leases of commands that this process will not execute."""
    await session.run("outbox.give_back", ids=ids)


async def postpone(session: Session, command_id: int, *, pause: timedelta, error: str) -> None:
    """Give a command back after a failure."""
    await session.run("outbox.postpone", id=command_id, pause=pause, error=error)


async def standings(session: Session, run_ids: Sequence[str]) -> list[StartedRun]:
    """Read how runs stand whose workflows were started; those that have not begun are missing."""
    found = await session.rows("outbox.standings", run_ids=run_ids, busy=BUSY)
    return [StartedRun(**dict(row.items())) for row in found]


async def put(session: Session, kind: RunCommandKind, *, run_id: str, control: Control) -> None:
    """Write a command about a run, for the engines that share it."""
    await session.run(
        "outbox.put",
        kind=kind,
        tenant_id=control.tenant_id,
        run_id=run_id,
        generation=control.generation,
        task_queue=control.task_queue,
    )


async def put_schedule(
    session: Session, *, tenant_id: str, definition_id: str, task_queue: str
) -> None:
    """Ask for a definition's schedule to be made equal to its row; many wishes are one."""
    await session.run(
        "outbox.put_schedule",
        tenant_id=tenant_id,
        definition_id=definition_id,
        task_queue=task_queue,
    )


async def existing(session: Session, ids: Sequence[int]) -> frozenset[int]:
    """Return which of these commands are there, at the end of a transaction that was lent."""
    if await session.count_at_end("outbox.existing", ids) == len(ids):
        return frozenset(ids)
    return frozenset(row["id"] for row in await session.rows("outbox.existing", ids=ids))
