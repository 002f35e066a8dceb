"""What schedules and their ticks need to know of a definition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.rows import required


@dataclass(frozen=True, slots=True)
class ScheduleOwner:
    """A definition as its schedule sees it.

    Attributes:
        cron_expression: None when it has no cron.
        timezone: ``UTC`` when its author named none.
        schedule_queue: Task queue of the engines that keep its schedule; None: it never had one.
        schedule_error: Why Temporal has refused its schedule; None: it has not.
        dialect: What a process must know to act on it.
    """

    id: str
    tenant_id: str
    trigger_type: str
    environment_filter: str | None
    resource_type_filter: str | None
    is_enabled: bool
    cron_expression: str | None
    timezone: str
    schedule_queue: str | None
    schedule_error: str | None
    is_deleted: bool
    dialect: int


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What decided about a definition's ticks from a moment on, until its next state.

    Attributes:
        since: From when on it held.
        cron_expression: None when it had no cron.
        timezone: ``UTC`` when its author named none.
    """

    since: datetime
    is_enabled: bool
    is_deleted: bool
    cron_expression: str | None
    timezone: str


async def lock(session: Session, definition_id: str) -> None:
    """Keep others from changing a definition's schedule until the transaction ends."""
    await session.row("schedules.lock", definition_id=definition_id)


async def keep(session: Session, definition_id: str, *, tenant_id: str, task_queue: str) -> None:
    """Note whose engines keep a definition's schedule."""
    await session.run(
        "schedules.keep", definition_id=definition_id, tenant_id=tenant_id, task_queue=task_queue
    )


async def find_owner(
    session: Session, definition_id: str, *, tenant_id: str | None
) -> ScheduleOwner | None:
    """Read a definition, deleted ones too; None when this database has never heard of it."""
    row = await session.row(
        "schedules.find_owner", definition_id=definition_id, tenant_id=tenant_id
    )
    return ScheduleOwner(**dict(row.items())) if row else None


async def now(session: Session) -> datetime:
    """Read Postgres's clock."""
    row = await session.row("schedules.now")
    moment: datetime = required(row, "the time")["now"]
    return moment


async def story(
    session: Session, owner: ScheduleOwner, *, since: datetime
) -> tuple[ScheduleState, ...]:
    """Read what a definition was at a moment, and all that it became afterwards, oldest first.

    The first state may be younger: the definition was created later, or its past is not on
    record.
    """
    found = await session.rows(
        "schedules.story", definition_id=owner.id, tenant_id=owner.tenant_id, since=since
    )
    # Where the first rows have no content, a release that kept no versions has written it.
    state = ScheduleState(
        since=found[0]["valid_from"],
        is_enabled=owner.is_enabled,
        is_deleted=False,
        cron_expression=owner.cron_expression,
        timezone=owner.timezone,
    )
    states: list[ScheduleState] = []
    for row in found:
        kind = row["kind"]
        state = replace(state, since=row["valid_from"], is_deleted=kind == "deleted")
        if row["has_content"]:
            state = replace(
                state,
                is_enabled=row["is_enabled"],
                cron_expression=row["cron_expression"],
                timezone=row["timezone"],
            )
        else:
            state = replace(state, is_enabled=kind == "enabled")
        states.append(state)
    return tuple(states)


async def note_error(session: Session, owner: ScheduleOwner, error: str | None) -> None:
    """Keep why Temporal refuses a definition's schedule; None: it does not."""
    await session.run(
        "schedules.note_error", definition_id=owner.id, tenant_id=owner.tenant_id, error=error
    )
