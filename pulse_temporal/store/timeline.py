"""Timeline events and execution logs."""

from __future__ import annotations

from collections.abc import Collection

from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.runs import ExecutionLog, LogLevel
from pulse_temporal.model.timeline import TimelineEvent
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows


async def events(session: Session, run_id: str, *, tenant_id: str | None) -> list[TimelineEvent]:
    """Read what happened to a run and its steps, in order."""
    return [
        rows.event(row)
        for row in await session.rows("timeline.events", run_id=run_id, tenant_id=tenant_id)
    ]


async def logs(
    session: Session,
    run_id: str,
    *,
    tenant_id: str | None,
    levels: Collection[LogLevel] | None = None,
) -> list[ExecutionLog]:
    """Read a run's log lines, in order; without levels, all of them."""
    wanted = list(levels) if levels is not None else None
    found = await session.rows("timeline.logs", run_id=run_id, tenant_id=tenant_id, levels=wanted)
    return [rows.log(row) for row in found]


async def add_log(
    session: Session, line: LogLine, *, run_id: str, step_run_id: str | None, tenant_id: str
) -> None:
    """Write one line outside of an attempt."""
    await session.run(
        "timeline.add_log",
        id=line.id,
        run_id=run_id,
        step_run_id=step_run_id,
        tenant_id=tenant_id,
        level=line.level,
        message=line.message,
        data=line.data,
        at=line.at,
    )
