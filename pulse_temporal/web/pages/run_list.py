"""Which runs a list shows, as its URL says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from starlette.datastructures import QueryParams

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.runs import RunStatus
from pulse_temporal.model.view_filters import RunSummaryFilterFields
from pulse_temporal.model.views import ATTENTIONS, Attention, BoundedCount, RunCounts
from pulse_temporal.web.urls import query

PERIODS = {
    "": ("any time", None),
    "1h": ("last hour", timedelta(hours=1)),
    "1d": ("last day", timedelta(days=1)),
    "7d": ("last week", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)


@dataclass(frozen=True, slots=True)
class RunListQuery:
    """The filters of a list of runs, and its place; empty means any."""

    base: str
    status: str
    attention: str
    definition: str
    since: str
    resource: str
    cursor: str

    @property
    def periods(self) -> list[tuple[str, str]]:
        """Periods to choose from, with their words."""
        return [(value, words) for value, (words, _) in PERIODS.items()]

    @property
    def is_narrowed(self) -> bool:
        """Whether there may be runs that the list leaves out."""
        narrows = (self.status, self.attention, self.definition, self.since, self.resource)
        return any(narrows) or bool(self.cursor)

    @property
    def query(self) -> str:
        """The list as the query of a URL."""
        return query(**self._fields())

    def url(self, **changes: str | None) -> str:
        """Return the URL of the list with other filters; None takes one away."""
        return f"{self.base}/runs{query(**(self._fields() | changes))}"

    def chips(self, counts: RunCounts) -> Iterator[tuple[str, BoundedCount, bool]]:
        """Yield what can be chosen at a click: the name, how many, whether it is an attention."""
        for status in STATUSES:
            if status == "completed":
                for attention in reversed(ATTENTIONS):
                    yield attention, getattr(counts, attention), True
            yield status, getattr(counts, status), False

    def narrowed(self) -> RunSummaryFilterFields:
        """Return the filter of the list without status and attention, as counts take it."""
        fields: RunSummaryFilterFields = {}
        if self.definition:
            fields["definition_id"] = self.definition
        if self.resource:
            fields["resource_id"] = self.resource
        if created_after := self._created_after():
            fields["created_after"] = created_after
        return fields

    def filter(self) -> RunSummaryFilterFields:
        """Return the filter of the list."""
        fields = self.narrowed()
        for status in STATUSES:
            if self.status == status:
                fields["status"] = status
        for attention in ATTENTIONS:
            if self.attention == attention:
                fields["attention"] = attention
        return fields

    def _created_after(self) -> datetime | None:
        _, length = PERIODS[self.since]
        return utc_now() - length if length else None

    def _fields(self) -> dict[str, str | None]:
        return {
            "status": self.status,
            "attention": self.attention,
            "definition": self.definition,
            "since": self.since,
            "resource": self.resource,
            "cursor": self.cursor,
        }


def read_run_list(base: str, asked: QueryParams) -> RunListQuery:
    """Return the list that a URL asks for.

    Raises:
        InvalidInputError: A filter has no such value.
    """

    def one_of(name: str, allowed: tuple[str, ...]) -> str:
        value = asked.get(name, "")
        if value and value not in allowed:
            raise InvalidInputError(f"{name} must be one of {', '.join(filter(None, allowed))}.")
        return value

    attentions: tuple[Attention, ...] = ATTENTIONS
    return RunListQuery(
        base=base,
        status=one_of("status", STATUSES),
        attention=one_of("attention", attentions),
        definition=asked.get("definition", ""),
        since=one_of("since", tuple(PERIODS)),
        resource=asked.get("resource", ""),
        cursor=asked.get("cursor", ""),
    )
