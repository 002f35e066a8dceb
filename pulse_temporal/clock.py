"""The one place that reads the wall clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present moment as an aware UTC datetime."""


def utc_now() -> datetime:
    """Return the present moment by this machine's clock: aware, in UTC."""
    return datetime.now(UTC)


class ServerClock:
    """Tells the time by the clock of Postgres, however wrong this machine's clock is.

    Until the first ``set`` it equals this machine's clock. After that it lags behind Postgres by
    the time that one answer takes to arrive (``tests/faults/test_clock_skew.py``).
    """

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return utc_now() + self._ahead

    def set(self, moment: datetime) -> None:
        """Adopt ``moment``, which Postgres has just returned as its present time."""
        self._ahead = moment - utc_now()
