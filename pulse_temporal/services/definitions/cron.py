"""Cron expressions in a time zone: as Temporal calendars, and when they fire next.

An expression never travels to Temporal as text: its server reads many of them differently
from cron (``#`` begins a comment there, two restricted day fields must both match).
A local time that does not exist is passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from heapq import merge
from itertools import groupby
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, croniter
from temporalio.client import ScheduleCalendarSpec, ScheduleRange

from pulse_temporal.errors import DefinitionError
from pulse_temporal.model.cron import CronFields, CronSyntaxError, read_cron
from pulse_temporal.model.problems import Finding, did_you_mean, to_problems
from pulse_temporal.model.values import CONTROL_OR_SURROGATE, NAME_CHARS, cron_text

EVERY_HOUR = frozenset(range(24))
EVERY_DAY = frozenset(range(1, 32))
EVERY_MONTH = frozenset(range(1, 13))
EVERY_WEEKDAY = frozenset(range(7))
LEAP_YEARS = (ScheduleRange(2000, 2096, 4),)
COMMON_YEARS = (
    *(ScheduleRange(2000 + offset, 2096 + offset, 4) for offset in (1, 2, 3)),
    ScheduleRange(2100),
)
"""Temporal's calendars end with the year 2100, which is not a leap year."""

MONTHS_BY_LENGTH: tuple[tuple[int, frozenset[int], tuple[ScheduleRange, ...]], ...] = (
    (31, frozenset({1, 3, 5, 7, 8, 10, 12}), ()),
    (30, frozenset({4, 6, 9, 11}), ()),
    (29, frozenset({2}), LEAP_YEARS),
    (28, frozenset({2}), COMMON_YEARS),
)
NO_ZONES = frozenset({"localtime", "Factory", "posixrules"})
"""Files among those of the zones that mean another zone on each machine, or none at all."""
COMMENT_CHARS = 200
TRIAL_START = datetime(2024, 1, 1, tzinfo=UTC)
LOOK_BACK = timedelta(hours=4)
"""No clock is set back by more."""
MOST_GAPS = 200
"""An expression that meets so many missing local times in a row names no others."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates that fulfil all of this at once.

    Attributes:
        days: Of the month.
        weekdays: 0 is Sunday.
        months: 1 is January.
        years: Empty is every year.
    """

    days: frozenset[int]
    weekdays: frozenset[int]
    months: frozenset[int]
    years: tuple[ScheduleRange, ...] = ()

    def include(self, moment: datetime) -> bool:
        """Say whether a local time falls on one of them."""
        return (
            moment.day in self.days
            and moment.isoweekday() % 7 in self.weekdays
            and moment.month in self.months
            and (not self.years or any(_has(part, moment.year) for part in self.years))
        )


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that has been understood.

    Attributes:
        text: As its author wrote it.
        zone: Whose local time it means.
        fields: What it says.
    """

    text: str
    zone: ZoneInfo
    fields: CronFields

    @property
    def clock_zone(self) -> str:
        """The time zone of its calendars.

        An expression that fires in every hour of every day gets along without its zone, and
        so without the hour that Temporal gets wrong.
        """
        fields = self.fields
        every_day = fields.any_day and fields.any_weekday and fields.months == EVERY_MONTH
        every_hour = every_day and fields.hours == EVERY_HOUR
        return "UTC" if every_hour and _shifts_by_hours(self.zone) else self.zone.key

    def calendars(self) -> list[ScheduleCalendarSpec]:
        """Give the calendars of a Temporal schedule, which fires when any of them does.

        What Temporal (1.32, measured) makes of a clock that is changed: a time that is missing
        is passed over; a time that comes twice fires twice west of Greenwich, and east of it
        once, where several minutes of that hour may be missed or come an hour late. A day that
        begins with a missing hour counts, west of Greenwich, as the weekday before it.
        """
        return [
            ScheduleCalendarSpec(
                minute=_ranges(self.fields.minutes),
                hour=_ranges(self.fields.hours),
                day_of_month=_ranges(dates.days),
                month=_ranges(dates.months),
                day_of_week=_ranges(dates.weekdays),
                year=dates.years,
                comment=self.text[:COMMENT_CHARS],
            )
            for dates in _dates(self.fields)
        ]

    def fires_at(self, moment: datetime) -> bool:
        """Say whether an aware moment is one of its times."""
        local = moment.astimezone(self.zone)
        return (
            local.second == local.microsecond == 0
            and local.minute in self.fields.minutes
            and local.hour in self.fields.hours
            and any(dates.include(local) for dates in _dates(self.fields))
        )

    def times_after(self, moment: datetime) -> Generator[datetime]:
        """Give its times after an aware moment, in UTC and in order, without end.

        Local times that do not exist are left out, those that exist twice are given twice.
        """
        repeated: deque[datetime] = deque()
        gaps = 0
        for wall in self._wall_times(moment.astimezone(self.zone) - LOOK_BACK):
            local = wall.replace(tzinfo=self.zone)
            first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
            gaps = gaps + 1 if second < first else 0
            if gaps > MOST_GAPS:
                return
            if gaps:
                continue
            while repeated and repeated[0] < first:
                yield repeated.popleft()
            if first > moment:
                yield first
            if second > max(first, moment):
                repeated.append(second)

    def _wall_times(self, after: datetime) -> Iterator[datetime]:
        """Give its local times, as a clock on a wall would show them."""
        start = after.replace(tzinfo=UTC)
        parts = [_times(text, start) for text in _plain(self.fields)]
        return (wall for wall, _ in groupby(merge(*parts)))


def parse_cron(expression: str, timezone: str | None) -> Cron:
    """Understand a cron expression in a time zone; None is UTC.

    Raises:
        DefinitionError: With every problem found.
    """
    given = {"cronExpression": expression, "timezone": timezone}
    findings = _findings("cronExpression", expression, timezone)
    if findings:
        raise DefinitionError(to_problems(findings, data=given))
    return Cron(expression, ZoneInfo(timezone or "UTC"), read_cron(expression))


def cron_findings(definition: Mapping[str, object]) -> list[Finding]:
    """Give what is wrong with a definition's cron expression and time zone.

    Args:
        definition: As its author sent it, in camelCase or snake_case. What is no line of
            text of a name's length is passed over: that is told elsewhere.
    """
    key = "cron_expression" if "cron_expression" in definition else "cronExpression"
    expression = definition.get(key)
    if isinstance(expression, str):
        expression = cron_text(expression)
    return _findings(key, _text(expression), _text(definition.get("timezone")))


def _text(value: object) -> str | None:
    if not isinstance(value, str) or CONTROL_OR_SURROGATE.search(value):
        return None
    return value if 1 <= len(value) <= NAME_CHARS else None


def _findings(key: str, expression: str | None, timezone: str | None) -> list[Finding]:
    findings: list[Finding] = []
    if timezone is not None and timezone not in zones():
        hint = did_you_mean(timezone, sorted(zones()))
        message = f'"{timezone}" is not an IANA time zone such as Europe/Paris'
        findings.append(Finding(("timezone",), message, hint))
    if expression is None:
        return findings
    try:
        fields = read_cron(expression)
    except CronSyntaxError as error:
        return [*findings, *(Finding((key,), message, hint) for message, hint in error.reasons)]
    if findings:
        return findings
    cron = Cron(expression, ZoneInfo(timezone or "UTC"), fields)
    if next(cron.times_after(TRIAL_START), None) is None:
        findings.append(Finding((key,), "never fires: there is no such date or local time"))
    return findings


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones that this machine knows."""
    return frozenset(available_timezones()) - NO_ZONES


@cache
def _shifts_by_hours(zone: ZoneInfo) -> bool:
    """Say whether a zone is whole hours away from UTC, in winter and in summer."""
    months = [datetime(year, month, 1, tzinfo=zone) for year in (2024, 2037) for month in (1, 7)]
    return not any((moment.utcoffset() or timedelta()) % HOUR for moment in months)


def _has(part: ScheduleRange, number: int) -> bool:
    return number in range(part.start, part.end + 1, part.step)


def _ranges(numbers: Iterable[int]) -> tuple[ScheduleRange, ...]:
    """Give numbers as ranges, as short as they get."""
    found: list[ScheduleRange] = []
    for number in sorted(numbers):
        if found and found[-1].end == number - 1:
            found[-1] = ScheduleRange(found[-1].start, number)
        else:
            found.append(ScheduleRange(number))
    return tuple(found)


def _dates(fields: CronFields) -> list[Dates]:
    """Give the dates of an expression: those that any of the result includes."""
    months = fields.months
    if fields.any_day and fields.any_weekday:
        return [Dates(EVERY_DAY, EVERY_WEEKDAY, months)]
    days, weekdays = fields.days, fields.weekdays
    found: list[Dates] = []
    if days and not fields.any_day:
        found.append(Dates(days, EVERY_WEEKDAY, months))
    if weekdays and not fields.any_weekday:
        found.append(Dates(EVERY_DAY, weekdays, months))
    for weekday, nth in sorted(fields.nth_weekdays):
        week = range(7 * nth - 6, min(7 * nth, 31) + 1)
        found.append(Dates(frozenset(week), frozenset({weekday}), months))
    for length, those, years in MONTHS_BY_LENGTH:
        if fields.last_day and those & months:
            found.append(Dates(frozenset({length}), EVERY_WEEKDAY, those & months, years))
        if fields.last_weekdays and those & months:
            week = range(length - 6, length + 1)
            found.append(Dates(frozenset(week), fields.last_weekdays, those & months, years))
    return found


def _plain(fields: CronFields) -> list[str]:
    """Give expressions of numbers that together say the same, each with one day field."""
    days = [str(day) for day in sorted(fields.days)] + ["L"] * fields.last_day
    nth = [f"{weekday}#{number}" for weekday, number in sorted(fields.nth_weekdays)]
    nth += [f"L{weekday}" for weekday in sorted(fields.last_weekdays)]
    pairs: list[tuple[str, str]] = []
    if fields.any_day and fields.any_weekday:
        pairs.append(("*", "*"))
    if not fields.any_day:
        pairs.append((",".join(days), "*"))
    if not fields.any_weekday:
        pairs += [("*", text) for text in (_list(fields.weekdays), ",".join(nth)) if text]
    minutes, hours, months = map(_list, (fields.minutes, fields.hours, fields.months))
    return [f"{minutes} {hours} {day} {months} {weekday}" for day, weekday in pairs]


def _list(numbers: Iterable[int]) -> str:
    return ",".join(str(number) for number in sorted(numbers))


def _times(text: str, start: datetime) -> Iterator[datetime]:
    """Give the times of an expression in UTC; none when there are none within 50 years."""
    times = croniter(text, start, ret_type=datetime)
    while True:
        try:
            yield times.get_next(datetime)
        except CroniterBadDateError:
            return
