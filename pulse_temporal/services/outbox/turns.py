"""Decide how a relay looks at the outbox: whose turn it is, and from where on it reads.

A full look finds whatever is due. It reads past the rows of commands that are done, until vacuum
has removed them, and vacuum waits for the oldest transaction of the server. So where full looks
get slow they are made less often, and between them the relay looks only at what has come since.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from pulse_temporal.store.outbox import OutboxCommand

FULL_LOOKS = 20
"""A full look is followed by so many times its length without another one."""

LATE = timedelta(seconds=2)
"""A transaction may commit so long after its command got an id, and is still seen at once."""


class Turns:
    """Remembers what one relay has seen; times are those of its event loop, in seconds.

    Attributes:
        after: Tenant after which the next full look begins.
        heads: Tenants that have new commands which nobody has leased, and the id after which
            those begin.
        more: The last look has left commands of a tenant that had its share.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.after = ""
        self.heads: dict[str, int] = {}
        self.more = False
        self._full_look_at = self._looked_at = 0.0
        self._marks: deque[tuple[float, int]] = deque()

    def is_full_look_due(self, now: float) -> bool:
        """Return whether the next look must find everything."""
        return now >= self._full_look_at or self.seen() is None

    def is_slow(self, now: float, *, interval: timedelta) -> bool:
        """Return whether full looks take so long that the next ones should be left out."""
        return now + interval.total_seconds() < self._full_look_at

    def seen(self) -> int | None:
        """Return the id after which a look at what is new begins; None: a full one must be made.

        A command has its id before it commits. The last look has found all commands whose ids
        were given out ``LATE`` before it began, and may have missed any that came after that.
        """
        safe = self._looked_at - LATE.total_seconds()
        while len(self._marks) > 1 and self._marks[1][0] <= safe:
            self._marks.popleft()
        return self._marks[0][1] if self._marks and self._marks[0][0] <= safe else None

    def mark(self, newest: int | None, *, now: float) -> None:
        """Remember the newest id of a moment before a look; without one each is a full one."""
        if newest is None:
            self._marks.clear()
        else:
            self._marks.append((now, newest))

    def welcome(self, newcomers: Mapping[str, int]) -> None:
        """Let tenants have a turn whose new commands begin after an id."""
        for tenant_id, after in newcomers.items():
            self.heads[tenant_id] = min(after, self.heads.get(tenant_id, after))

    def next(self, passed_over: Collection[str] = ()) -> tuple[dict[str, int], int]:
        """Return the tenants whose turn it is, with their heads, and the share of each.

        Args:
            passed_over: Tenants that have no turn now.
        """
        self.more = False
        waiting = [(name, head) for name, head in self.heads.items() if name not in passed_over]
        chosen = dict(waiting[: self.batch])
        return chosen, max(1, self.batch // max(1, len(chosen)))

    def looked_at_all(
        self,
        leased: Sequence[OutboxCommand],
        *,
        began: float,
        now: float,
        passed_over: Collection[str] = (),
    ) -> None:
        """Note what a full look has brought, how long it took and who had no turn in it."""
        self._full_look_at, self._looked_at = now + FULL_LOOKS * (now - began), began
        self.heads = {name: head for name, head in self.heads.items() if name in passed_over}
        self._keep_heads(leased)
        self.after: str = leased[0].last_turn if leased and leased[0].share == 1 else ""

    def looked_at_new(
        self, chosen: Mapping[str, int], leased: Sequence[OutboxCommand], *, began: float
    ) -> None:
        """Note what the chosen tenants had; those with more go to the end of the line."""
        self._looked_at = began
        for tenant_id in chosen:
            del self.heads[tenant_id]
        is_left = bool(self.heads)
        self._keep_heads(leased)
        self.more = self.more or is_left

    def _keep_heads(self, leased: Sequence[OutboxCommand]) -> None:
        """Let tenants go on that had their share; the commands come in the order of their ids.

        A tenant's dialects share what it has and are read apart, so it goes on after the command
        of the one that has come less far.
        """
        counts = Counter((command.tenant_id, command.dialect) for command in leased)
        dialects = Counter(tenant_id for tenant_id, _ in counts)
        ends = {
            (command.tenant_id, command.dialect): command.id
            for command in leased
            if counts[command.tenant_id, command.dialect]
            >= max(1, command.share // dialects[command.tenant_id])
        }
        for (tenant_id, _), end in ends.items():
            self.heads[tenant_id] = min(end, self.heads.get(tenant_id, end))
        self.more: bool = bool(ends)
