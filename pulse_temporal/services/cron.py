"""Cron expressions: read strictly, compile to Temporal calendars, say when they fire next.

An expression never travels to Temporal as text: its server reads many of them differently
from cron (it takes ``#`` for a comment, a sixth field for a year, two restricted day fields
for AND). What is accepted, and what it means:

- Five fields, or ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``, ``@yearly``.
- ``*``, numbers, lists, ranges, steps; month and weekday names in any case; 7 is Sunday.
- A range may wrap around (``FRI-MON``, ``22-2``); its steps go on across the turn.
- ``L`` is the last day of the month, ``FRI#2`` its second and ``L5`` or ``5L`` its last Friday.
- Day of month and day of week: when neither is ``*``, either is enough.

A local time that does not exist is passed over. One that exists twice is given twice; there
Temporal's own clock may fire once only, in zones east of Greenwich (see ``calendars``).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from heapq import merge
from itertools import groupby
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, croniter
from temporalio.client import ScheduleCalendarSpec, ScheduleRange

from pulse_temporal.errors import DefinitionError, Problem
from pulse_temporal.model.problems import did_you_mean

EXPRESSION, TIMEZONE = "/cronExpression", "/timezone"
SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
SHAPE = "five fields (minute, hour, day of month, month, day of week)"
TERM = re.compile(r"(?P<first>\*|[A-Z0-9]+)(?:-(?P<last>[A-Z0-9]+))?(?:/(?P<step>\d{1,3}))?")
NTH_WEEKDAY = re.compile(r"(?P<day>[A-Z0-9]+)#(?P<nth>\d+)")
LAST_WEEKDAY = re.compile(r"L(?P<after>[A-Z0-9]+)|(?P<before>[0-9]|[A-Z]{3})L")
COMMENT_CHARS = 200

# No calendar date is younger than a Temporal server's last year.
LEAP_YEARS = (ScheduleRange(2000, 2096, 4),)
COMMON_YEARS = (ScheduleRange(2001, 2097, 4), ScheduleRange(2002, 2098, 4)) + (
    ScheduleRange(2003, 2099, 4),
    ScheduleRange(2100),
)
MONTHS_BY_LENGTH: tuple[tuple[int, frozenset[int], tuple[ScheduleRange, ...]], ...] = (
    (31, frozenset({1, 3, 5, 7, 8, 10, 12}), ()),
    (30, frozenset({4, 6, 9, 11}), ()),
    (29, frozenset({2}), LEAP_YEARS),
    (28, frozenset({2}), COMMON_YEARS),
)
EVERY_DAY, EVERY_WEEKDAY = frozenset(range(1, 32)), frozenset(range(7))

TRIAL_START = datetime(2024, 1, 1, tzinfo=UTC)
LOOK_BACK = timedelta(hours=4)
"""No clock is set back by more."""
MOST_GAPS = 200
"""An expression that meets so many missing local times in a row names no others."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: its name for people, its numbers, the names of its numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """Say what may stand in it."""
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{names}"


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())),
    Field("day of week", 0, 7, tuple("SUN MON TUE WED THU FRI SAT".split())),
)
MINUTE, HOUR, DAY, MONTH, WEEKDAY = FIELDS


@dataclass(frozen=True, slots=True)
class Dates:
    """Dates that fulfil all of this at once.

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

    def have(self, moment: datetime) -> bool:
        """Say whether a local time falls on one of them."""
        years = [year for part in self.years for year in range(part.start, part.end + 1, part.step)]
        return (
            moment.day in self.days
            and moment.isoweekday() % 7 in self.weekdays
            and moment.month in self.months
            and (not years or moment.year in years)
        )


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that has been understood.

    Attributes:
        text: As its author wrote it.
        zone: Whose local time it means.
        minutes: Of the hour.
        hours: Of the day.
        dates: It fires on each that any of these has.
        plain: The same in expressions that croniter reads as we do; each adds its times.
    """

    text: str
    zone: ZoneInfo
    minutes: frozenset[int]
    hours: frozenset[int]
    dates: tuple[Dates, ...]
    plain: tuple[str, ...]

    def calendars(self) -> list[ScheduleCalendarSpec]:
        """Give the calendars of a Temporal schedule, which fires when any of them does.

        In the hour that a zone's clock repeats, Temporal (measured with 1.32) fires each time
        twice west of Greenwich; east of it once, and of several minutes in that hour not all.
        """
        return [
            ScheduleCalendarSpec(
                minute=_ranges(self.minutes),
                hour=_ranges(self.hours),
                day_of_month=_ranges(dates.days),
                month=_ranges(dates.months),
                day_of_week=_ranges(dates.weekdays),
                year=dates.years,
                comment=self.text[:COMMENT_CHARS],
            )
            for dates in self.dates
        ]

    def fires_at(self, moment: datetime) -> bool:
        """Say whether an aware moment is one of its times."""
        local = moment.astimezone(self.zone)
        return (
            local.second == local.microsecond == 0
            and local.minute in self.minutes
            and local.hour in self.hours
            and any(dates.have(local) for dates in self.dates)
        )

    def times_after(self, moment: datetime) -> Generator[datetime]:
        """Give its times after an aware moment, in UTC and in order, without end."""
        repeated: deque[datetime] = deque()
        gaps = 0
        for wall in self._wall_times(moment.astimezone(self.zone) - LOOK_BACK):
            once = wall.replace(tzinfo=self.zone)
            first, second = once.astimezone(UTC), once.replace(fold=1).astimezone(UTC)
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
        yield from repeated

    def _wall_times(self, after: datetime) -> Iterator[datetime]:
        """Give its local times as a clock without a zone would show them."""
        start = after.replace(tzinfo=UTC)
        parts = [_croniter_times(plain, start) for plain in self.plain]
        return (wall for wall, _ in groupby(merge(*parts)))


def read_cron(expression: str, timezone: str | None) -> Cron:
    """Read a cron expression and its time zone, which is UTC when it is None.

    Raises:
        DefinitionError: One of them is not accepted, or the expression never fires; with
            every problem found, and what would be accepted.
    """
    problems: list[Problem] = []
    zone = ZoneInfo("UTC")
    try:
        zone = _read_zone(timezone) if timezone is not None else zone
    except ValueError as error:
        problems.append(_problem(TIMEZONE, error))
    fields: list[_FieldValues] = []
    try:
        texts = _split(expression)
    except ValueError as error:
        problems.append(_problem(EXPRESSION, error))
        texts = []
    for field, text in zip(FIELDS, texts, strict=False):
        try:
            fields.append(_read_field(field, text))
        except ValueError as error:
            problems.append(_problem(EXPRESSION, error))
    if problems:
        raise DefinitionError(problems)
    cron = _combine(expression, zone, fields)
    if next(cron.times_after(TRIAL_START), None) is None:
        message = f'"{expression}" never fires: no date, or no local time, is like that'
        raise DefinitionError([Problem(EXPRESSION, message)])
    return cron
