"""Signals that wait to be stored, and the tenants whose signals are kept apart from others'."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.store.triggers import TOGETHER, Emitted, NewTrigger

TOGETHER_BYTES = 1024 * 1024
"""Payloads that one statement stores, at most; one signal may be larger."""

APART_SECONDS = 60.0
"""For so long after its last heavy or failed statement a tenant shares none with others."""

SLOW_SECONDS = 0.5
"""A statement that takes longer lets the next ones store half as many signals."""

GROWTH = 5
"""So many more signals may share a statement after one that was full and quick."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A signal that is not known to be stored, where its emitter waits, and for how long.

    Attributes:
        timer: Ends its emitter's patience.
        doubt: What a statement failed with that may have stored it nevertheless.
        is_again: A statement with it has failed.
        is_alone: It shares no statement any more, not even with its tenant's others.
    """

    trigger: NewTrigger
    lease: timedelta | None
    outcome: asyncio.Future[Emitted]
    timer: asyncio.TimerHandle
    doubt: PostgresUnavailableError | None = None
    is_again: bool = False
    is_alone: bool = False

    @property
    def tenant_id(self) -> str:
        """Whose signal it is."""
        return self.trigger.signal.tenant_id


@dataclass(slots=True)
class Share:
    """How many signals one statement may store, by how long the last ones took."""

    most: int

    def learn(self, *, number: int, seconds: float) -> None:
        """Take note of a statement."""
        if seconds > SLOW_SECONDS:
            self.most = max(1, min(self.most, number // 2))
        elif number >= self.most:
            self.most = min(TOGETHER, self.most + GROWTH)


@dataclass(slots=True)
class _Tenant:
    """A tenant that is kept apart.

    Attributes:
        until: When it may share statements again, in the time of the event loop.
    """

    until: float
    waiting: deque[Waiting] = field(default_factory=deque[Waiting])
    share: Share = field(default_factory=lambda: Share(1))


class Apart:
    """Tenants whose statements were heavy or failed; each has statements of its own.

    They take turns. A tenant's first statement apart stores one signal, the next ones as many
    as prove to be quick.
    """

    def __init__(self) -> None:
        self.waits = 0
        self._loop = asyncio.get_running_loop()
        self._tenants: dict[str, _Tenant] = {}
        self._turns: deque[str] = deque()  # tenants with waiting signals, each once

    def has(self, tenant_id: str) -> bool:
        """Return whether a tenant's signals share no statement with others' now."""
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and (bool(tenant.waiting) or tenant.until > self._loop.time())

    def keep(self, tenant_id: str) -> None:
        """Keep a tenant apart from now on, for a while."""
        now = self._loop.time()
        tenant = self._tenants.get(tenant_id)
        if tenant is not None:
            tenant.until = now + APART_SECONDS
            return
        for name in [name for name in self._tenants if not self.has(name)]:
            del self._tenants[name]
        self._tenants[tenant_id] = _Tenant(now + APART_SECONDS)

    def add(self, signals: Iterable[Waiting]) -> None:
        """Let signals wait for statements of their tenants, which are kept apart."""
        for each in signals:
            tenant = self._tenants[each.tenant_id]
            if not tenant.waiting:
                self._turns.append(each.tenant_id)
            tenant.waiting.append(each)
            self.waits += 1

    def take(self) -> list[Waiting]:
        """Take what the next statement stores: of the tenant whose turn it is."""
        if not self._turns:
            return []
        tenant_id = self._turns.popleft()
        tenant = self._tenants[tenant_id]
        taken = take(tenant.waiting, most=tenant.share.most)
        self.waits -= len(taken)
        if tenant.waiting:
            self._turns.append(tenant_id)
        return taken

    def learn(self, tenant_id: str, *, number: int, seconds: float) -> None:
        """Take note of a statement of one tenant."""
        tenant = self._tenants.get(tenant_id)
        if tenant is not None:
            tenant.share.learn(number=number, seconds=seconds)


def take(waiting: deque[Waiting], *, most: int) -> list[Waiting]:
    """Take from the front what one statement may store."""
    taken: list[Waiting] = []
    chars = 0
    while waiting and len(taken) < most:
        following = waiting[0]
        chars += len(following.trigger.payload)
        if taken and (
            following.lease != taken[0].lease
            or chars > TOGETHER_BYTES
            or following.is_alone
            or taken[0].is_alone
        ):
            break
        taken.append(waiting.popleft())
    return taken


def by_tenant(signals: Sequence[Waiting]) -> list[list[Waiting]]:
    """Divide signals by their tenants."""
    found: dict[str, list[Waiting]] = {}
    for each in signals:
        found.setdefault(each.tenant_id, []).append(each)
    return list(found.values())
