"""Which tasks a worker takes from Temporal: none while it could do nothing with them."""

from __future__ import annotations

import asyncio
import threading

from temporalio.worker import (
    CustomSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
)
from typing_extensions import override


class Gate:
    """Open while this process may take tasks; it is opened and closed in its event loop."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether tasks are taken; may be read in any thread."""
        return self._opened.is_set()

    def open(self) -> None:
        """Take tasks from now on."""
        self._opened.set()

    def close(self) -> None:
        """Take no more tasks; polls that are under way may still bring one each."""
        self._opened.clear()

    async def passed(self) -> None:
        """Return when it is open."""
        await self._opened.wait()


class GatedSlots(CustomSlotSupplier):
    """A fixed number of slots, of which none is granted while a gate is closed.

    So the worker stops to poll, and what runs already goes on undisturbed: to shut the worker
    down would cancel handlers that take longer than the grace.

    Args:
        slots: Tasks at the same time.
        gate: Of the process.
    """

    def __init__(self, slots: int, gate: Gate) -> None:
        self.gate = gate
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # Temporal's threads give slots back
        self._free = slots
        self._waiting = 0
        self._freed = asyncio.Event()

    @override
    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        """Wait for an open gate and a free slot."""
        while True:
            await self.gate.passed()
            if self._take(waits=True):
                return SlotPermit()
            try:
                await self._freed.wait()
            finally:
                with self._lock:
                    self._waiting -= 1

    @override
    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        """Grant a slot for a task that Temporal hands over without a poll."""
        return SlotPermit() if self.gate.is_open and self._take() else None

    @override
    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """Do nothing: a slot counts from its reservation on."""

    @override
    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """Let the next one have the slot."""
        with self._lock:
            self._free += 1
            is_awaited = self._waiting > 0
        if is_awaited:
            self._loop.call_soon_threadsafe(self._freed.set)

    def _take(self, *, waits: bool = False) -> bool:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            if waits:
                self._waiting += 1
                self._freed.clear()
            return False
