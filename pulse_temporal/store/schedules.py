"""What schedules and their ticks need to know of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pulse_temporal.store.sessions import Session


@dataclass(frozen=True, slots=True)
class ScheduleOwner:
    """A definition as its schedule sees it.

    Attributes:
        enabled_at: When it was last enabled again; None when it never was disabled.
        cron_expression: None when it has no cron.
        timezone: ``UTC`` when its author named none.
        schedule_queue: Task queue of the engines that keep its schedule; None: it never had one.
    """

    id: str
    tenant_id: str
    trigger_type: str
    environment_filter: str | None
    resource_type_filter: str | None
    is_enabled: bool
    enabled_at: datetime | None
    cron_expression: str | None
    timezone: str
    schedule_queue: str | None
    is_deleted: bool


async def lock(session: Session, definition_id: str) -> None:
    """Keep others from changing a definition's schedule until the transaction ends."""
    await session.row("schedules.lock", definition_id)


async def keep(session: Session, definition_id: str, *, tenant_id: str, task_queue: str) -> None:
    """Note whose engines keep a definition's schedule."""
    await session.run("schedules.keep", definition_id, tenant_id, task_queue)


async def find_owner(
    session: Session, definition_id: str, *, tenant_id: str | None
) -> ScheduleOwner | None:
    """Read a definition, deleted ones too; None when this database has never heard of it."""
    row = await session.row("schedules.find_owner", definition_id, tenant_id)
    return ScheduleOwner(**dict(row.items())) if row else None
