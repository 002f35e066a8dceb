"""Signals that wait to be stored, and tenants whose signals share no statement with others'."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pulse_temporal.errors import PostgresUnavailableError
from pulse_temporal.store.triggers import TOGETHER, Emitted, NewTrigger

TOGETHER_BYTES = 1024 * 1024
"""Bound on the payloads in one statement; a single signal may be larger."""

APART_SECONDS = 60.0
"""How long after its last heavy or failed statement a tenant shares none with others."""

SLOW_SECONDS = 0.5
"""After a statement that took longer, the next ones store half as many signals."""

GROWTH = 5
"""How many more signals the next statement may store after one that was full and quick."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A signal that is not known to be stored yet, and whose emitter waits.

    Attributes:
        trigger: The signal.
        lease: How long the relay leaves its starts to this process.
        outcome: Awaited by the emitter.
        timer: Fails ``outcome`` when the emitter has waited ``postgres_timeout`` for a turn.
        doubt: The error of a statement that failed and may have stored it all the same.
        is_again: A statement with it has failed.
        is_alone: It gets a statement of its own, apart even from its tenant's other signals.
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
        """The tenant whose signal it is."""
        return self.trigger.signal.tenant_id


@dataclass(slots=True)
class Share:
    """How many signals one statement may store; halves when slow, grows when quick."""

    most: int

    def learn(self, *, number: int, seconds: float) -> None:
        """Adapt to a statement that stored ``number`` signals in ``seconds``."""
        if seconds > SLOW_SECONDS:
            self.most = max(1, min(self.most, number // 2))
        elif number >= self.most:  # a statement that was not full tells nothing about larger ones
            self.most = min(TOGETHER, self.most + GROWTH)


@dataclass(slots=True)
class _Tenant:
    """A tenant that is kept apart.

    Attributes:
        until: When it may share statements again, in the event loop's time.
    """

    until: float
    waiting: deque[Waiting] = field(default_factory=deque[Waiting])
    share: Share = field(default_factory=lambda: Share(1))


class Apart:
    """Tenants whose statements were heavy or failed; each has statements of its own.

    They take turns. A tenant's first statement here stores one signal, later ones as many as
    prove to be quick.

    Attributes:
        waits: Signals that wait here, of all tenants.
    """

    def __init__(self) -> None:
        self.waits = 0
        self._loop = asyncio.get_running_loop()
        self._tenants: dict[str, _Tenant] = {}
        self._turns: deque[str] = deque()  # tenants with waiting signals, each once

    def has(self, tenant_id: str) -> bool:
        """Return whether a tenant is kept apart now, or still has signals that wait here."""
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and (bool(tenant.waiting) or tenant.until > self._loop.time())

    def keep(self, tenant_id: str) -> None:
        """Keep a tenant apart for ``APART_SECONDS`` from now on."""
        now = self._loop.time()
        tenant = self._tenants.get(tenant_id)
        if tenant is not None:
            tenant.until = now + APART_SECONDS
            return
        # The only place that forgets tenants: otherwise they would pile up for ever.
        for name in [name for name in self._tenants if not self.has(name)]:
            del self._tenants[name]
        self._tenants[tenant_id] = _Tenant(now + APART_SECONDS)

    def add(self, signals: Iterable[Waiting]) -> None:
        """Add signals to the queues of their tenants, all of which must be kept apart."""
        for each in signals:
            tenant = self._tenants[each.tenant_id]
            if not tenant.waiting:
                self._turns.append(each.tenant_id)
            tenant.waiting.append(each)
            self.waits += 1

    def take(self) -> list[Waiting]:
        """Remove and return the signals of the next statement, all of one tenant; [] when none."""
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
        """Adapt a tenant's share to a statement of its own; do nothing if it is not apart."""
        tenant = self._tenants.get(tenant_id)
        if tenant is not None:
            tenant.share.learn(number=number, seconds=seconds)


def take(waiting: deque[Waiting], *, most: int) -> list[Waiting]:
    """Remove and return signals from the front that one statement may store.

    At most ``most`` of them and ``TOGETHER_BYTES`` of payload, but at least one if any waits. All
    have the same lease, as a statement has one.
    """
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
    """Return signals in one list for each tenant, each in the order given."""
    found: dict[str, list[Waiting]] = {}
    for each in signals:
        found.setdefault(each.tenant_id, []).append(each)
    return list(found.values())
