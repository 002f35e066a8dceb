"""Numbers that tell how a task queue stands; each costs the same however many runs there are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from pulse_temporal.errors import MissingRightError
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.rights import needed_rights
from pulse_temporal.store.rows import required


@dataclass(frozen=True, slots=True)
class Server:
    """What answers at the other end of the DSN."""

    database: str
    version: str
    version_number: int
    is_read_only: bool


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes of the queue.

    Attributes:
        alive: Seen lately.
        silent_for: Since the last sign of any; None: none is on record.
        alive_for: Since the start of the oldest that is alive.
        other_queues: Task queues that processes of this database work on besides.
        silent: Not seen lately although they have not stopped in good order.
        others_silent_for: Since the last sign of one of those.
    """

    alive: int
    silent_for: timedelta | None
    alive_for: timedelta | None
    other_queues: tuple[str, ...]
    silent: int = 0
    others_silent_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Outbox:
    """Commands that wait; ``tries`` and ``error`` are those of the most often tried one.

    Attributes:
        newer: So many of them only a process of a newer release can carry out.
    """

    commands: int
    newer: int
    age: timedelta | None
    tries: int
    error: str | None


@dataclass(frozen=True, slots=True)
class PendingRuns:
    """Runs that have not begun for a while."""

    runs: int
    age: timedelta | None
    oldest_id: str | None


@dataclass(frozen=True, slots=True)
class BlockedSteps:
    """Steps that cannot start for one reason; ``run_id`` is an example."""

    reason: str
    steps: int
    age: timedelta
    run_id: str


@dataclass(frozen=True, slots=True)
class IdleQueue:
    """A task queue of the database on which something waits and nobody works."""

    task_queue: str
    commands: int
    runs: int
    age: timedelta


@dataclass(frozen=True, slots=True)
class RefusedSchedules:
    """Definitions whose cron Temporal refuses; the rest is of the one that was changed last.

    Attributes:
        definitions: So many, up to the limit of the question.
        error: What Temporal says.
    """

    definitions: int
    definition_id: str | None
    tenant_id: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Rights:
    """What the role lacks.

    Attributes:
        missing: One phrase an object, such as ``INSERT and UPDATE on table pulse_triggers``.
        can_write: Whether it may write to any of the tables.
        hidden: Tables of which row-level security may hide rows from the role.
    """

    missing: tuple[str, ...]
    can_write: bool
    hidden: tuple[str, ...]


async def server(session: Session) -> Server:
    """Ask what answers."""
    return Server(**dict(required(await session.row("health.server"), "the server").items()))


async def workers(session: Session, *, task_queue: str, silence: timedelta) -> Workers:
    """Read who works; a process that has been silent for so long counts as gone."""
    row = required(
        await session.row("health.workers", task_queue=task_queue, silence=silence), "the workers"
    )
    return Workers(
        row["alive"],
        row["silent_for"],
        row["alive_for"],
        tuple(sorted(row["other_queues"])),
        row["silent"],
        row["others_silent_for"],
    )


async def outbox(session: Session, *, task_queue: str, limit: int) -> Outbox:
    """Read what waits, looking at the oldest ``limit`` commands."""
    row = required(
        await session.row(
            "health.outbox", task_queue=task_queue, row_limit=limit, dialect=DIALECT
        ),
        "the outbox",
    )
    return Outbox(**dict(row.items()))


async def pending_runs(
    session: Session, *, task_queue: str, age: timedelta, limit: int
) -> PendingRuns:
    """Read which runs are pending for so long, looking at the oldest ``limit`` of them."""
    row = await session.row("health.pending_runs", task_queue=task_queue, age=age, row_limit=limit)
    return PendingRuns(**dict(required(row, "the pending runs").items()))


async def blocked_steps(session: Session, *, task_queue: str, limit: int) -> list[BlockedSteps]:
    """Read why steps cannot start, looking at ``limit`` of them, the commonest reason first."""
    found = await session.rows("health.blocked_steps", task_queue=task_queue, row_limit=limit)
    return [BlockedSteps(**dict(row.items())) for row in found]


async def idle_queues(
    session: Session, *, task_queue: str, silence: timedelta, commands: int, runs: int
) -> list[IdleQueue]:
    """Read on which other queues work waits for nobody, looking at so many of the oldest rows."""
    found = await session.rows(
        "health.idle_queues", task_queue=task_queue, silence=silence, commands=commands, runs=runs
    )
    return [IdleQueue(**dict(row.items())) for row in found]


async def refused_schedules(session: Session, *, task_queue: str, limit: int) -> RefusedSchedules:
    """Read which definitions of the queue never tick, looking at ``limit`` of them."""
    row = await session.row("health.refused_schedules", task_queue=task_queue, row_limit=limit)
    return RefusedSchedules(**dict(required(row, "the refused schedules").items()))


async def rights(session: Session) -> Rights:
    """Ask for what the role lacks of what an engine does; a table that is not there lacks none."""
    pairs = [
        (name.removeprefix("pulse_"), right)
        for name, needed in needed_rights().items()
        for right in needed
    ]
    names, needed_ones = zip(*pairs, strict=True)
    row = required(
        await session.row("health.rights", names=names, rights=needed_ones), "the rights"
    )
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for relation, right in row["missing"]:
        missing[relation].append(right)
    return Rights(
        missing=tuple(f"{' and '.join(each)} on {name}" for name, each in missing.items()),
        can_write=row["can_write"],
        hidden=tuple(row["hidden"]),
    )


async def require_rights(session: Session) -> None:
    """Make sure that an engine can work.

    Raises:
        MissingRightError: The role may not do what runs need; the message names all of it.
    """
    found = await rights(session)
    if found.missing:
        raise MissingRightError(
            f"The role that Pulse connects with lacks {'; '.join(found.missing)}. "
            "docs/operate/roles.md has the grants."
        )
