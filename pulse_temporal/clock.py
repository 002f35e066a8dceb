"""The one place that reads the wall clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Gives the present moment as an aware UTC datetime."""


def utc_now() -> datetime:
    """Give the present moment, aware, in UTC."""
    return datetime.now(UTC)


class ServerClock:
    """Gives the present moment by the clock of Postgres, whatever this machine believes.

    Until it is first set it is this machine's clock; then it is off by the time that a message
    takes.
    """

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Give the present moment, aware, in UTC."""
        return utc_now() + self._ahead

    def set(self, moment: datetime) -> None:
        """Take a time that Postgres has just told."""
        self._ahead = moment - utc_now()
