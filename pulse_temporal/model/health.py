"""How the whole stands: Postgres, Temporal, the workers, and what waits between them."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, computed_field

from pulse_temporal.model.values import Value

HealthStatus = Literal["ok", "warning", "failed"]

CheckName = Literal[
    "postgres",
    "tables",
    "rights",
    "temporal",
    "search_attributes",
    "workers",
    "outbox",
    "pending_runs",
    "blocked_steps",
    "other_queues",
    "schedules",
    "reconciler",
    "sharing",
    "mirror",
]
CHECK_NAMES: tuple[CheckName, ...] = (
    "postgres",
    "tables",
    "rights",
    "temporal",
    "search_attributes",
    "workers",
    "outbox",
    "pending_runs",
    "blocked_steps",
    "other_queues",
    "schedules",
    "reconciler",
    "sharing",
    "mirror",
)
"""In the order of a report: what stands on something comes after it."""


class HealthCheck(Value):
    """One thing that was looked at.

    Attributes:
        name: Stable, for alarms.
        status: ``failed``: it does not work until somebody acts. ``warning``: look closer.
        summary: What was found, in a sentence or two.
        advice: What to do; None where there is nothing to do.
    """

    name: CheckName
    status: HealthStatus
    summary: str
    advice: str | None = None


class HealthReport(Value):
    """What ``check_health`` has found; in JSON also the worst ``status`` of its checks.

    Attributes:
        at: When it ended.
        checks: What was looked at, always in the same order.
        not_checked: What could not be looked at, because a server that it needs does not answer;
            or was not asked for.
    """

    at: AwareDatetime
    checks: tuple[HealthCheck, ...]
    not_checked: tuple[CheckName, ...] = ()

    @computed_field
    @property
    def status(self) -> HealthStatus:
        """The worst status of all checks."""
        found = {check.status for check in self.checks}
        return "failed" if "failed" in found else "warning" if "warning" in found else "ok"

    def check(self, name: CheckName) -> HealthCheck | None:
        """Give a check by its name; None when it was not made."""
        return next((check for check in self.checks if check.name == name), None)
