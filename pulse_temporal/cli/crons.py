"""``pulse crons``: when definitions are started by the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated
from zoneinfo import ZoneInfo

from cyclopts import Parameter
from cyclopts.validators import Number
from pydantic import AwareDatetime

from pulse_temporal.cli.connection import Pulse, tenant_of, with_pulse
from pulse_temporal.cli.definitions import require_definition, state_cell
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.moments import relative
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.values import Value

COLUMNS = (
    Column(title="STATE"),
    Column(title="DEFINITION"),
    Column(title="TENANT"),
    Column(title="NAME", is_flexible=True),
    Column(title="CRON"),
    Column(title="ZONE"),
    Column(title="NEXT"),
    Column(title="WHY NOT", is_flexible=True),
)
TIME_COLUMNS = (Column(title="THERE"), Column(title="HERE"), Column(title="IN"))
ID = "wfd_"


@dataclass(frozen=True, slots=True)
class Clock:
    """A definition with a cron, and its next time, if there is any."""

    definition: WorkflowDefinition
    next_at: datetime | None


class CronTime(Value):
    """A definition with a cron, as JSON."""

    definition_id: str
    tenant_id: str
    name: str
    cron_expression: str
    timezone: str
    is_enabled: bool
    schedule_error: str | None
    next_at: AwareDatetime | None


def list_crons(*, options: GlobalOptions = DEFAULTS) -> int:
    """List definitions with a cron, soonest first."""
    out = Output(options)

    async def read(pulse: Pulse) -> list[Clock]:
        found: list[Clock] = []
        async for each in pulse.definitions.iterate():
            if each.cron_expression is not None:
                times = await pulse.definitions.next_times(each.id, 1)
                found.append(Clock(each, times[0] if times else None))
        return sorted(found, key=lambda clock: (clock.next_at is None, clock.next_at or out.now))

    clocks = with_pulse(options, read)
    if out.data([_cron_time(clock) for clock in clocks]):
        return Exit.OK
    out.table(COLUMNS, [_cells(out, clock) for clock in clocks])
    if not clocks:
        out.note("No definition has a cron.")
    return Exit.OK


def _cron_time(clock: Clock) -> CronTime:
    each = clock.definition
    return CronTime(
        definition_id=each.id,
        tenant_id=each.tenant_id,
        name=each.name,
        cron_expression=each.cron_expression or "",
        timezone=each.timezone or "UTC",
        is_enabled=each.is_enabled,
        schedule_error=each.schedule_error,
        next_at=clock.next_at,
    )


def _cells(out: Output, clock: Clock) -> list[Cell]:
    each = clock.definition
    return [
        state_cell(each),
        Cell(each.id),
        Cell("" if tenant_of(out.options) == each.tenant_id else each.tenant_id),
        Cell(each.name),
        Cell(each.cron_expression or ""),
        Cell(each.timezone or "UTC"),
        Cell(out.moment(clock.next_at) or "\N{EN DASH}"),
        Cell(each.schedule_error or "", "yellow"),
    ]


def next_times(
    definition: str,
    /,
    *,
    zone: str | None = None,
    number: Annotated[
        int, Parameter(name=("--number", "-n"), validator=Number(gte=1, lte=500))
    ] = 10,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Show when a definition, or a cron expression, fires next.

    Local times that the clocks skip in spring are left out; those that come twice in autumn come
    twice.

    Parameters
    ----------
    definition:
        Id of a definition, or an expression in quotes, such as "30 2 * * *" or @daily.
    zone:
        Time zone of the expression, such as America/New_York; UTC without it.
    number:
        How many times, 1 to 500.
    """
    out = Output(options)
    if definition.startswith(ID):
        if zone is not None:
            raise UsageError("--zone is for expressions; a definition has its own.")
        times, there = with_pulse(options, lambda pulse: _of_definition(pulse, definition, number))
    else:
        times, there = _of_expression(definition, zone, number, now=out.now)
    if not out.is_table:
        texts = [time.isoformat().replace("+00:00", "Z") for time in times]
        if options.output == "jsonl":
            out.json_lines(texts)
        else:
            out.json(list(texts))
        return Exit.OK
    rows = [
        [
            Cell(f"{time.astimezone(there):%a %Y-%m-%d %H:%M %Z}"),
            Cell(f"{time.astimezone(ZoneInfo('UTC') if options.utc else None):%H:%M %Z}", "dim"),
            Cell(relative(time, now=out.now).removeprefix("in "), "dim"),
        ]
        for time in times
    ]
    out.table(TIME_COLUMNS, rows)
    if not times:
        out.note("It never fires: the definition has no cron, or is disabled.")
    return Exit.OK


async def _of_definition(
    pulse: Pulse, definition_id: str, number: int
) -> tuple[list[datetime], ZoneInfo]:
    found = await require_definition(pulse, definition_id)
    times = await pulse.definitions.next_times(found.id, number)
    return times, ZoneInfo(found.timezone or "UTC")


def _of_expression(
    expression: str, zone: str | None, number: int, *, now: datetime
) -> tuple[list[datetime], ZoneInfo]:
    from pulse_temporal.services.definitions.cron import parse_cron  # noqa: PLC0415

    cron = parse_cron(expression, zone)
    return list(islice(cron.times_after(now), number)), cron.zone
