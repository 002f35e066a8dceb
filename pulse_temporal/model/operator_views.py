"""What operators see: workers, and how much each tenant has and does."""

from __future__ import annotations

from pydantic import AwareDatetime

from pulse_temporal.model.values import Flag, Value
from pulse_temporal.model.views import BoundedCount


class WorkerView(Value):
    """A process that takes work, as it has published itself.

    Attributes:
        id: ``wrk_`` + UUIDv7, new with every start of a process.
        task_queue: From which it takes tasks.
        actions: Handlers that it knows, by name.
        conditions: Handlers that it knows, by name.
        signals: Types that it has registered.
        dialect: The newest kind of rows that its release understands.
        in_work: Attempts that it has open, among the newest 10 000 runs that are running.
        started_at: When it began.
        seen_at: When it last said that it lives.
        present_since: Since when it could write to Postgres without a break.
        is_live: It was seen lately; a process that was killed is not, and is forgotten later.
    """

    id: str
    task_queue: str
    actions: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    dialect: int = 1
    in_work: BoundedCount
    started_at: AwareDatetime
    seen_at: AwareDatetime
    present_since: AwareDatetime | None = None
    is_live: Flag


class TenantView(Value):
    """A tenant, and how it stands; each count is bounded by 1 000.

    Attributes:
        definitions: That are not deleted.
        runs: Created in the last 24 hours.
        failed: Failed among them.
        open: Pending, running or waiting, whenever they were created.
        retrying: Open runs with a step that is tried again.
        blocked: Open runs with a step that cannot start.
        oldest_pending_at: When the oldest run was created that no worker has taken yet.
    """

    id: str
    definitions: BoundedCount
    runs: BoundedCount
    failed: BoundedCount
    open: BoundedCount
    retrying: BoundedCount
    blocked: BoundedCount
    oldest_pending_at: AwareDatetime | None = None
