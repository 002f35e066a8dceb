"""Live processes and the handlers they know."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.rows import required


@dataclass(frozen=True, slots=True)
class PublishedNames:
    """Names that live workers have published, and how many such workers there are."""

    actions: frozenset[str]
    conditions: frozenset[str]
    signals: frozenset[str]
    workers: int


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """Which database this is.

    Attributes:
        id: Given by ``migrate``; a copy of the database has the same.
        name: In its Postgres server.
    """

    id: str
    name: str


async def identity(session: Session) -> DatabaseIdentity:
    """Read which database this is."""
    row = required(await session.row("workers.identity"), "the id of the database")
    return DatabaseIdentity(row["id"], row["name"])


async def publish(  # noqa: PLR0913 - all but two are given by name
    session: Session,
    worker_id: str,
    *,
    task_queue: str,
    actions: Collection[str],
    conditions: Collection[str],
    signals: Collection[str],
    was_present: bool,
) -> datetime:
    """Write that a process lives and which names it knows; return the server's time.

    Args:
        session: Where.
        worker_id: Of the process.
        task_queue: From which it takes tasks.
        actions: Names that it knows.
        conditions: Names that it knows.
        signals: Types that it knows.
        was_present: It could write to Postgres all the time since it said so last. An attempt
            that it has left open was not recorded for another reason than Postgres, then.
    """
    row = await session.row(
        "workers.publish",
        worker_id=worker_id,
        task_queue=task_queue,
        actions=sorted(actions),
        conditions=sorted(conditions),
        signals=sorted(signals),
        dialect=DIALECT,
        was_able=was_present,
    )
    published_at: datetime = required(row, "the worker's row")["at"]
    return published_at


async def withdraw(session: Session, worker_id: str) -> None:
    """Say that a process is gone."""
    await session.run("workers.withdraw", worker_id=worker_id)


async def forget(session: Session, *, silence: timedelta) -> None:
    """Drop processes that have been silent for so long."""
    await session.run("workers.forget", silence=silence)


async def published_names(
    session: Session, *, task_queue: str, silence: timedelta
) -> PublishedNames:
    """Read which handlers and signal types live processes know."""
    row = required(
        await session.row("workers.published_names", task_queue=task_queue, silence=silence),
        "the published names",
    )
    return PublishedNames(
        actions=frozenset(row["actions"]),
        conditions=frozenset(row["conditions"]),
        signals=frozenset(row["signals"]),
        workers=row["workers"],
    )
