"""Keep a line for each tenant, so that none waits for the backlog of another."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lines(Generic[Item]):
    """One line for each tenant that waits; whoever is served goes to the end of the turns.

    All lines together are bounded. Where there is no room, the longest line makes it: its newest
    item goes, so a flood costs nobody but the tenant that floods.

    Args:
        limit: Items that wait together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lines: dict[str, deque[Item]] = {}
        self._size = 0
        self._is_there_some = asyncio.Event()

    def __len__(self) -> int:
        """Return how many items wait."""
        return self._size

    def length(self, tenant_id: str) -> int:
        """Return how many items of a tenant wait."""
        return len(self._lines.get(tenant_id, ()))

    @property
    def tenants(self) -> int:
        """How many tenants wait."""
        return len(self._lines)

    def longer_than(self, number: int) -> list[str]:
        """Return the tenants of whom more items wait than that."""
        return [tenant_id for tenant_id, line in self._lines.items() if len(line) > number]

    def put(self, tenant_id: str, item: Item) -> Item | None:
        """Add an item to its tenant's line; return the item that finds no room, if one does."""
        pushed_out: Item | None = None
        if self._size >= self.limit:
            longest = max(self._lines, key=self.length)
            if self.length(longest) <= self.length(tenant_id) + 1:
                return item  # the two would only change places
            pushed_out = self._take(longest, newest=True)
        self._lines.setdefault(tenant_id, deque()).append(item)
        self._size += 1
        self._is_there_some.set()
        return pushed_out

    async def wait(self) -> None:
        """Return when an item waits."""
        await self._is_there_some.wait()

    def take(self) -> Item:
        """Return the oldest item of the tenant whose turn it is.

        Raises:
            IndexError: None waits.
        """
        if not self._lines:
            raise IndexError("no item waits")
        tenant_id = next(iter(self._lines))
        item = self._take(tenant_id, newest=False)
        if tenant_id in self._lines:
            self._lines[tenant_id] = self._lines.pop(tenant_id)
        return item

    def _take(self, tenant_id: str, *, newest: bool) -> Item:
        line = self._lines[tenant_id]
        item = line.pop() if newest else line.popleft()
        self._size -= 1
        if not line:
            del self._lines[tenant_id]
        if not self._lines:
            self._is_there_some.clear()
        return item
