"""Health reports: Postgres, Temporal, workers, and what waits between them."""

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
"""In the order of a report: a check comes after those that it depends on."""


class HealthCheck(Value):
    """One check and its result.

    Attributes:
        name: Stable, for alarms.
        status: ``failed``: it does not work until a person acts. ``warning``: look closer.
        summary: What was found, in a sentence or two.
        advice: What to do; None when there is nothing to do.
    """

    name: CheckName
    status: HealthStatus
    summary: str
    advice: str | None = None


class HealthReport(Value):
    """The result of ``check_health``; its JSON also has ``status``, the worst of its checks.

    Attributes:
        at: When it ended.
        checks: The checks that were made, always in the same order.
        not_checked: Checks that were not made: a server that they need does not answer, or they
            were not asked for.
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
        """Return a check by its name; None when it was not made."""
        return next((check for check in self.checks if check.name == name), None)
