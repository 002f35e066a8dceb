"""Lengths of time as people read them: ``152 ms``, ``5.47 s``, ``9 min 3 s``."""

from __future__ import annotations

from datetime import timedelta

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
"""From the longest on; a length is told in the two units that say most."""

# Where the rounded text would reach the next form: never "1000 ms", "10.00 s" or "60.0 s".
IN_MILLISECONDS_BELOW = 0.9995
IN_HUNDREDTHS_BELOW = 9.995
IN_TENTHS_BELOW = 59.95
SIXTY_BELOW = 59.5


def length_text(length: timedelta) -> str:
    """Return a length of time in at most two units; a negative one, of skewed clocks, is 0.

    Under a second in milliseconds, under ten in hundredths, under a minute in tenths of seconds.
    """
    seconds = max(length.total_seconds(), 0.0)
    if seconds < IN_MILLISECONDS_BELOW:
        return f"{seconds * 1000:.0f} ms"
    if seconds < IN_HUNDREDTHS_BELOW:
        return f"{seconds:.2f} s"
    if seconds < IN_TENTHS_BELOW:
        return f"{seconds:.1f} s"
    return _two_units(round(seconds))


def short_length_text(length: timedelta) -> str:
    """Return a length of time without digits that say nothing: ``2 s``, not ``2.00 s``."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < IN_MILLISECONDS_BELOW:
        return f"{round(seconds * 1000, 1):g} ms" if seconds else "0"
    if seconds < SIXTY_BELOW:
        return f"{round(seconds, 1 if seconds < IN_HUNDREDTHS_BELOW else None):g} s"
    return _two_units(round(seconds))


def _two_units(seconds: int) -> str:
    """Return whole seconds, at least 60, in their largest unit and the one below it."""
    index = next(index for index, (_, size) in enumerate(UNITS) if seconds >= size)
    parts: list[str] = []
    for unit, size in UNITS[index : index + 2]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts)
