"""A line that a handler, or Pulse itself, writes into a run's log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pulse_temporal.model.runs import LogLevel


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log, before it is stored; what is read back is an ``ExecutionLog``.

    Attributes:
        data: JSON text.
    """

    id: str
    level: LogLevel
    message: str
    data: str | None
    at: datetime
