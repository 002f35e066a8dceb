"""What a cron does in the nights when clocks are changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from pulse_temporal.services.definitions.cron import EVERY_HOUR, Cron

AHEAD = timedelta(days=400)
"""How far to look: each yearly change of a clock is seen once."""

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
LONGEST = 24 * 60
"""Minutes of the longest gap that is looked through; clocks have skipped a day."""


@dataclass(frozen=True, slots=True)
class ClockNote:
    """A local time of a cron that does not exist, or comes twice.

    Attributes:
        kind: ``skipped``: the clock goes forward over it, and it does not fire. ``twice``: the
            clock goes back over it, and it may fire twice.
        wall: The first such time, as the clock on the wall would show it; it has no zone.
        changed_at: When the clock is changed.
    """

    kind: Literal["skipped", "twice"]
    wall: datetime
    changed_at: datetime


def clock_notes(cron: Cron, *, after: datetime) -> list[ClockNote]:
    """Return what the next changes of the clock do to a cron, soonest first.

    Nothing is said of one that fires in every hour: it skips no day by it.
    """
    if cron.fields.hours == EVERY_HOUR:
        return []
    on_the_wall = replace(cron, zone=ZoneInfo("UTC"))
    notes: list[ClockNote] = []
    today = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for at, before, then in _changes(cron.zone, today):
        if at <= after:
            continue
        begin, end = sorted((at + before, at + then))
        wall = begin.replace(tzinfo=UTC)
        for _ in range(LONGEST):
            if wall >= end:
                break
            if on_the_wall.fires_at(wall):
                kind: Literal["skipped", "twice"] = "skipped" if then > before else "twice"
                notes.append(ClockNote(kind, wall.replace(tzinfo=None), at))
                break
            wall += MINUTE
    return notes


@lru_cache(maxsize=256)
def _changes(zone: ZoneInfo, today: datetime) -> tuple[tuple[datetime, timedelta, timedelta], ...]:
    """Return when a zone's clocks are changed, with the distance from UTC before and then."""
    found: list[tuple[datetime, timedelta, timedelta]] = []
    before = _offset(zone, today)
    for day in (today + DAY * number for number in range(AHEAD.days)):
        then = _offset(zone, day + DAY)
        if before != then:
            low, high = day, day + DAY
            while high - low > MINUTE:
                middle = low + MINUTE * ((high - low) // MINUTE // 2)
                low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
            found.append((high, before, then))
        before = then
    return tuple(found)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
