"""Cron expressions in a time zone: their Temporal calendars, and the times at which they fire.

An expression is never sent to Temporal as text, as its server reads many of them differently
from cron: there ``#`` begins a comment, and two restricted day fields must both match
(``tests/integration/test_cron_calendars.py``). A local time that does not exist is skipped.
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
"""Names in the zone database that mean another zone on each machine, or none at all."""
COMMENT_CHARS = 200  # Temporal accepts no longer comment on a calendar
TRIAL_START = datetime(2024, 1, 1, tzinfo=UTC)
LOOK_BACK = timedelta(hours=4)
"""How far before a moment to begin with wall clock times: no clock is set back by more."""
MOST_GAPS = 200
"""After this many missing local times in a row, an expression is taken to name no others.

``* 2 * 3 SUN#2`` in New York names nothing else, and would be searched without end.
"""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates that meet all these conditions at once.

    Attributes:
        days: Days of the month, 1 to 31.
        weekdays: 0 is Sunday.
        months: 1 is January.
        years: Empty means every year.
    """

    days: frozenset[int]
    weekdays: frozenset[int]
    months: frozenset[int]
    years: tuple[ScheduleRange, ...] = ()

    def include(self, moment: datetime) -> bool:
        """Return whether a local time falls on one of them."""
        return (
            moment.day in self.days
            and moment.isoweekday() % 7 in self.weekdays
            and moment.month in self.months
            and (not self.years or any(_has(part, moment.year) for part in self.years))
        )


@dataclass(frozen=True, slots=True)
class Cron:
    """A valid cron expression in a time zone.

    Attributes:
        text: As its author wrote it.
        zone: The zone whose local time it names.
        fields: The expression, parsed.
    """

    text: str
    zone: ZoneInfo
    fields: CronFields

    @property
    def clock_zone(self) -> str:
        """The time zone of its calendars, for Temporal.

        An expression that fires in every hour of every day means the same in UTC, if the zone
        is whole hours away from it. So it is spared what Temporal gets wrong in the hour in
        which a clock is set back; see ``calendars``.
        """
        fields = self.fields
        every_day = fields.any_day and fields.any_weekday and fields.months == EVERY_MONTH
        every_hour = every_day and fields.hours == EVERY_HOUR
        return "UTC" if every_hour and _shifts_by_hours(self.zone) else self.zone.key

    def calendars(self) -> list[ScheduleCalendarSpec]:
        """Return the calendars of a Temporal schedule, which fires when any of them does.

        When a clock is changed, Temporal (1.32, measured) skips a local time that is missing.
        One that comes twice fires twice west of Greenwich; east of it once, and several minutes
        of that hour may be missed or fire an hour late. West of Greenwich, a day that begins
        with a missing hour counts as the weekday before it
        (``test_cron_calendars.py::known_faults_of_temporals_calendars_are_still_there``).
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
        """Return whether an aware moment is one of its times."""
        local = moment.astimezone(self.zone)
        return (
            local.second == local.microsecond == 0
            and local.minute in self.fields.minutes
            and local.hour in self.fields.hours
            and any(dates.include(local) for dates in _dates(self.fields))
        )

    def times_after(self, moment: datetime) -> Generator[datetime]:
        """Yield its times after an aware moment, in UTC and in order.

        Local times that do not exist are left out; those that exist twice come twice. Endless,
        unless the expression names only missing local times or none within 50 years.
        """
        repeated: deque[datetime] = deque()
        gaps = 0
        # croniter is asked for wall clock times only: it fires after a gap instead of skipping
        # it. When a clock is set back, times come again that lie before `moment` on the wall,
        # hence the look back; and they come after wall times that follow them, hence the queue.
        for wall in self._wall_times(moment.astimezone(self.zone) - LOOK_BACK):
            local = wall.replace(tzinfo=self.zone)
            # fold=1 is the second of two equal local times. The two readings are equal for a
            # time that exists once, and in reverse order for one that does not exist (PEP 495).
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
        """Yield its local times in the order of a wall clock, each once, marked as UTC."""
        start = after.replace(tzinfo=UTC)
        parts = [_times(text, start) for text in _plain(self.fields)]
        return (wall for wall, _ in groupby(merge(*parts)))


def parse_cron(expression: str, timezone: str | None) -> Cron:
    """Return a parsed cron expression; a ``timezone`` of None means UTC.

    Raises:
        DefinitionError: The expression or the zone is wrong; it has every problem found.
    """
    given = {"cronExpression": expression, "timezone": timezone}
    findings = _findings("cronExpression", expression, timezone)
    if findings:
        raise DefinitionError(to_problems(findings, data=given))
    return Cron(expression, ZoneInfo(timezone or "UTC"), read_cron(expression))


def cron_findings(definition: Mapping[str, object]) -> list[Finding]:
    """Return what is wrong with a definition's cron expression and time zone.

    Args:
        definition: As its author sent it, in camelCase or snake_case. Values that are not one
            line of text, or too long, are left out: the models report those.
    """
    key = "cron_expression" if "cron_expression" in definition else "cronExpression"
    expression = definition.get(key)
    if isinstance(expression, str):
        expression = cron_text(expression)
    return _findings(key, _text(expression), _text(definition.get("timezone")))


def _text(value: object) -> str | None:
    """Return a value that the models would accept as a name; None for any other."""
    if not isinstance(value, str) or CONTROL_OR_SURROGATE.search(value):
        return None
    return value if 1 <= len(value) <= NAME_CHARS else None


def _findings(key: str, expression: str | None, timezone: str | None) -> list[Finding]:
    """Return what is wrong with an expression, at ``key``, and with its zone; None is skipped."""
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
    """Return the names of the time zones that this machine knows, but for ``NO_ZONES``."""
    return frozenset(available_timezones()) - NO_ZONES


@cache
def _shifts_by_hours(zone: ZoneInfo) -> bool:
    """Return whether a zone is whole hours away from UTC, in January and July, now and later."""
    months = [datetime(year, month, 1, tzinfo=zone) for year in (2024, 2037) for month in (1, 7)]
    return not any((moment.utcoffset() or timedelta()) % HOUR for moment in months)


def _has(part: ScheduleRange, number: int) -> bool:
    return number in range(part.start, part.end + 1, part.step)


def _ranges(numbers: Iterable[int]) -> tuple[ScheduleRange, ...]:
    """Return numbers as the fewest ranges of consecutive ones."""
    found: list[ScheduleRange] = []
    for number in sorted(numbers):
        if found and found[-1].end == number - 1:
            found[-1] = ScheduleRange(found[-1].start, number)
        else:
            found.append(ScheduleRange(number))
    return tuple(found)


def _dates(fields: CronFields) -> list[Dates]:
    """Return the dates of an expression: those that any member of the result includes.

    Two restricted day fields get a member each, as in cron either of them is enough.
    """
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
    """Return expressions for croniter that together mean the same, each with one day field.

    Numbers only, and one restricted day field: in these, croniter and ``_dates`` agree.
    """
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
    """Yield the times of an expression; end when there is none within 50 years."""
    times = croniter(text, start, ret_type=datetime)
    while True:
        try:
            yield times.get_next(datetime)
        except CroniterBadDateError:
            return
