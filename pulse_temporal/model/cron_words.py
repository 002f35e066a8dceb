"""A cron expression in words: ``at 02:30 on Mondays to Fridays``.

It is told from the parsed fields, whose sets are bounded, never from the text; so however an
expression is written, words and times agree, and no expression makes long words.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pulse_temporal.model.cron import CronFields

MINUTES = 60
HOURS = 24
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
NTH = ("first", "second", "third", "fourth", "fifth")
MOST_TIMES = 4
"""Times of a day that are told one by one."""

LEAST_RUN = 3
"""Numbers in a row that are told as a range."""


def cron_words(fields: CronFields) -> str:
    """Return when an expression fires, in words."""
    parts = [_time(fields), _date(fields), _months(fields)]
    return " ".join(part for part in parts if part)


def _time(fields: CronFields) -> str:
    minutes, hours = sorted(fields.minutes), sorted(fields.hours)
    if len(hours) == HOURS:
        return _minutes_of_each_hour(minutes)
    step = _step(hours, HOURS)
    if step and minutes == [0]:
        return f"every {step} hours, on the hour"
    if len(minutes) * len(hours) <= MOST_TIMES:
        return f"at {_and([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    between = f"in the hour{'s' if len(hours) > 1 else ''} {_numbers(hours)}"
    return f"{_minutes_of_each_hour(minutes)}, {between}"


def _minutes_of_each_hour(minutes: Sequence[int]) -> str:
    if len(minutes) == MINUTES:
        return "every minute"
    if list(minutes) == [0]:
        return "every hour, on the hour"
    step = _step(minutes, MINUTES)
    if step:
        return f"every {step} minutes"
    noun = "minute" if len(minutes) == 1 else "minutes"
    return f"at {noun} {_numbers(minutes)} of every hour"


def _date(fields: CronFields) -> str:
    """Return the days; where both fields name some, a date needs to match one of them only."""
    days, weekdays = _days(fields), _weekdays(fields)
    if days and weekdays:
        return f"{days} and {weekdays}"
    if days or weekdays:
        return days or weekdays
    # "Every 15 minutes" is every day without saying so.
    return "" if len(fields.hours) == HOURS else "every day"


def _days(fields: CronFields) -> str:
    if fields.any_day:
        return ""
    named = [f"the {_ordinal_range(part)}" for part in _ranges(fields.days)]
    if fields.last_day:
        named.append("the last day")
    return f"on {_and(named)} of the month"


def _weekdays(fields: CronFields) -> str:
    if fields.any_weekday:
        return ""
    told: list[str] = []
    for first, last in _ranges(fields.weekdays):
        if last - first + 1 >= LEAST_RUN:
            told.append(f"{WEEKDAYS[first]}s to {WEEKDAYS[last]}s")
        else:
            told += [f"{WEEKDAYS[day]}s" for day in range(first, last + 1)]
    told += [
        f"the {NTH[number - 1]} {WEEKDAYS[day]} of the month"
        for day, number in sorted(fields.nth_weekdays)
    ]
    told += [f"the last {WEEKDAYS[day]} of the month" for day in sorted(fields.last_weekdays)]
    return f"on {_and(told)}"


def _months(fields: CronFields) -> str:
    if len(fields.months) == len(MONTHS):
        return ""
    told: list[str] = []
    for first, last in _ranges(fields.months):
        if last - first + 1 >= LEAST_RUN:
            told.append(f"{MONTHS[first - 1]} to {MONTHS[last - 1]}")
        else:
            told += [MONTHS[month - 1] for month in range(first, last + 1)]
    return f"in {_and(told)}"


def _step(numbers: Sequence[int], size: int) -> int | None:
    """Return the step of numbers that are all multiples of it, with at least two of them."""
    if len(numbers) < 2 or numbers[0] != 0 or size % len(numbers):  # noqa: PLR2004 - said above
        return None
    step = size // len(numbers)
    return step if list(numbers) == [*range(0, size, step)] and step > 1 else None


def _ranges(numbers: Collection[int]) -> list[tuple[int, int]]:
    """Return the first and the last number of each run of consecutive ones."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _numbers(numbers: Collection[int]) -> str:
    told: list[str] = []
    for first, last in _ranges(numbers):
        if last - first + 1 >= LEAST_RUN:
            told.append(f"{first} to {last}")
        else:
            told += [str(number) for number in range(first, last + 1)]
    return _and(told)


def _ordinal_range(part: tuple[int, int]) -> str:
    first, last = part
    if first == last:
        return _ordinal(first)
    joint = "to" if last - first + 1 >= LEAST_RUN else "and"
    return f"{_ordinal(first)} {joint} {_ordinal(last)}"


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number in (11, 12, 13) else ends.get(number % 10, 'th')}"


def _and(parts: Sequence[str]) -> str:
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
