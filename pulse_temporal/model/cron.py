"""Parse cron expressions strictly: the five fields of POSIX and a few common extensions.

- ``*``, numbers, lists, ranges and steps; names of months and weekdays in any case; 7 is Sunday.
- A range may wrap around (``FRI-MON``, ``22-2``); its steps continue across the wrap.
- ``5/15`` is every fifteenth from 5 on.
- ``L`` is the last day of the month, ``FRI#2`` its second and ``L5`` or ``5L`` its last Friday.
- When neither day field is ``*``, a date must match one of them; otherwise both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pulse_temporal.model.problems import did_you_mean, one_of

SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
ALIASES = {"@midnight": "@daily", "@annually": "@yearly"}

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SHAPE = "minute, hour, day of month, month, day of week"
_ZONES = ("TZ=", "CRON_TZ=")
_TERM = re.compile(r"(?:(\*)|([A-Z0-9]+)(?:-([A-Z0-9]+))?)(?:/([0-9]{1,3}))?")
_NTH = re.compile(r"([A-Z0-9]+)#([0-9]+)")
_LAST = re.compile(r"L([A-Z0-9]+)|([0-9]|[A-Z]{3})L")
_FOREIGN = (
    (re.compile(r".*\?.*"), "is not known here", 'Write "*".'),
    (re.compile(r"H.*|R.*"), "is not known here: times are never chosen for you", None),
    (re.compile(r"L?[0-9]*W"), "is not known here: there is no nearest weekday", None),
)
"""Terms of other dialects of cron: their pattern, what is wrong with them, a hint or None."""


@dataclass(frozen=True, slots=True)
class CronFields:
    """A parsed expression, field by field.

    Attributes:
        minutes: 0 to 59.
        hours: 0 to 23.
        months: 1 is January.
        days: Days of the month, 1 to 31.
        last_day: The last day of the month is named too.
        any_day: The field of the days is ``*``.
        weekdays: 0 is Sunday.
        nth_weekdays: Pairs of a weekday and a number from 1 to 5: the second Friday is (5, 2).
        last_weekdays: Weekdays of which the last one in the month is meant.
        any_weekday: The field of the weekdays is ``*``.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    last_day: bool
    any_day: bool
    weekdays: frozenset[int]
    nth_weekdays: frozenset[tuple[int, int]]
    last_weekdays: frozenset[int]
    any_weekday: bool


class CronSyntaxError(ValueError):
    """A text is not a cron expression.

    Attributes:
        reasons: For each field that is wrong, a message, and a hint or None.
    """

    def __init__(self, reasons: Sequence[tuple[str, str | None]]) -> None:
        self.reasons: tuple[tuple[str, str | None], ...] = tuple(reasons)
        super().__init__("; ".join(message for message, _ in reasons))


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values it has; Sunday has two numbers, 0 and 7, but is one value."""
        return self.high - self.low + (self is not _WEEKDAY)

    def refuse(self, term: str, why: str, hint: str | None = None) -> CronSyntaxError:
        return CronSyntaxError([(f'{self.name}: "{term}" {why}', hint)])

    def value(self, word: str, term: str) -> int:
        """Return the number that a number or a name stands for; raise CronSyntaxError if none."""
        if word in self.names:
            return self.names.index(word) + self.low
        if word.isdecimal() and self.low <= int(word) <= self.high:
            return int(word)
        names = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        hint = None if word.isdecimal() else did_you_mean(word, self.names)
        raise self.refuse(term, f"must name {self.low} to {self.high}{names}", hint)

    def values(self, term: str) -> frozenset[int]:
        """Return the numbers that ``*``, a number, a range or a step stands for, or raise."""
        for pattern, why, hint in _FOREIGN:
            if pattern.fullmatch(term):
                raise self.refuse(term, why, hint)
        match = _TERM.fullmatch(term)
        if match is None:
            raise self.refuse(term, 'must be "*", a number, a range such as 1-5, or a step of one')
        star, first, last, step = match.groups()
        if step is not None and not 1 <= int(step) <= self.size:
            raise self.refuse(term, f"must have a step of 1 to {self.size}")
        start = self.low if star else self.value(first, term)
        if last is not None:
            end = self.value(last, term)
        else:
            end = self.low + self.size - 1 if star or step else start
        if start > end:  # wraps around; the modulo below brings it back
            end += self.size
        numbers = range(start, end + 1, int(step or 1))
        return frozenset((number - self.low) % self.size + self.low for number in numbers)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
)
_DAY, _WEEKDAY = _FIELDS[2], _FIELDS[4]


@dataclass(frozen=True, slots=True)
class _Values:
    """One parsed field; ``nth`` and ``last`` are used by the day fields only."""

    numbers: frozenset[int]
    nth: frozenset[tuple[int, int]]
    last: frozenset[int]
    is_any: bool


def read_cron(expression: str) -> CronFields:
    """Return a parsed cron expression or shorthand such as ``@daily``.

    Raises:
        CronSyntaxError: Names every field that is wrong, and what would be accepted.
    """
    found: list[_Values] = []
    reasons: list[tuple[str, str | None]] = []
    for field, text in zip(_FIELDS, _split(expression), strict=True):
        try:
            found.append(_read_field(field, text))
        except CronSyntaxError as error:
            reasons += error.reasons
    if reasons:
        raise CronSyntaxError(reasons)
    minutes, hours, days, months, weekdays = found
    return CronFields(
        minutes=minutes.numbers,
        hours=hours.numbers,
        months=months.numbers,
        days=days.numbers,
        last_day=bool(days.last),
        any_day=days.is_any,
        weekdays=weekdays.numbers,
        nth_weekdays=weekdays.nth,
        last_weekdays=weekdays.last,
        any_weekday=weekdays.is_any,
    )


def _split(expression: str) -> list[str]:
    """Return the texts of the five fields, in upper case; raise when there are not five."""
    text = expression.strip().lower()
    text = SHORTHANDS.get(ALIASES.get(text, text), text).upper()
    if text.startswith("@"):
        choice = f"must be five fields ({_SHAPE}) or {one_of(list(SHORTHANDS))}"
        hint = did_you_mean(text, SHORTHANDS)
        if text.startswith("@EVERY"):
            hint = "Write a step, such as */15 * * * * for every 15 minutes."
        raise CronSyntaxError([(choice, hint)])
    fields = text.split()
    if fields and fields[0].startswith(_ZONES):
        raise CronSyntaxError([("must not name a time zone", "Set the field timezone.")])
    if len(fields) != len(_FIELDS):
        hint = "There are no seconds and no years." if len(fields) > len(_FIELDS) else None
        message = f"must have five fields ({_SHAPE}), not {len(fields)}"
        raise CronSyntaxError([(message, hint)])
    return fields


def _read_field(field: _Field, text: str) -> _Values:
    numbers: set[int] = set()
    nth: set[tuple[int, int]] = set()
    last: set[int] = set()
    for term in text.split(","):
        if field is _DAY and term == "L":
            last.add(0)
        elif field is _WEEKDAY and (match := _NTH.fullmatch(term)):
            if not 1 <= int(match[2]) <= 5:  # noqa: PLR2004 - a month has no sixth Friday
                raise field.refuse(term, 'must have 1 to 5 after "#"')
            nth.add((field.value(match[1], term) % 7, int(match[2])))
        elif field is _WEEKDAY and (match := _LAST.fullmatch(term)):
            last.add(field.value(match[1] or match[2], term) % 7)
        else:
            numbers |= field.values(term)
    # A field with a "*" restricts nothing, whatever else it lists: the other day field decides.
    if not {"*", "*/1"}.isdisjoint(text.split(",")):
        return _Values(frozenset(numbers), frozenset(), frozenset(), is_any=True)
    return _Values(frozenset(numbers), frozenset(nth), frozenset(last), is_any=False)
