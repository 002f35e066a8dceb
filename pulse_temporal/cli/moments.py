"""Moments and lengths of time, as people read and write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from pulse_temporal.cli.exits import UsageError
from pulse_temporal.config import Length

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0
LENGTH: TypeAdapter[timedelta] = TypeAdapter(Length)


def took(length: timedelta) -> str:
    """Return a length of time in at most seven characters: ``152 ms``, ``5.4 s``, ``3 d``.

    A negative one, of two clocks that differ, is 0.
    """
    seconds = max(0.0, length.total_seconds())
    if seconds < SECOND:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 * SECOND:
        return f"{seconds:.1f} s"
    for unit, size, bound in (("s", SECOND, MINUTE), ("min", MINUTE, HOUR), ("h", HOUR, 2 * DAY)):
        if seconds < bound:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds // DAY:.0f} d"


def absolute(moment: datetime, *, utc: bool) -> str:
    """Return a moment to the second with its offset, in local time or in UTC."""
    shown = moment.astimezone(UTC) if utc else moment.astimezone()
    return f"{shown:%Y-%m-%d %H:%M:%S}{'Z' if utc else f'{shown:%z}'}"


def relative(moment: datetime, *, now: datetime) -> str:
    """Return how long ago a moment was, or in which time it comes."""
    if moment > now:
        return f"in {took(moment - now)}"
    return took(now - moment)


def read_length(text: str, *, option: str) -> timedelta:
    """Return a length of time that a user wrote, such as ``30s`` or ``1d``.

    Raises:
        UsageError: It is none.
    """
    try:
        return LENGTH.validate_python(text)
    except ValidationError:
        pass
    raise UsageError(f"{option}: {text!r} is no length of time; 30s, 5m, 2h and 1d are.")


def read_moment(text: str, *, option: str, now: datetime, utc: bool) -> datetime:
    """Return a moment that a user wrote: a length of time before now, or a date and time.

    Raises:
        UsageError: It is neither.
    """
    try:
        return now - LENGTH.validate_python(text)
    except (ValidationError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC) if utc else moment.astimezone()
    except (ValueError, OverflowError):
        pass
    else:
        return moment
    raise UsageError(
        f"{option}: {text!r} is no moment; 30m, 2h, 1d (ago) and 2026-03-01T12:00 are."
    )
