"""Keep the background loops of a process going, whatever one round of them raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import PulseError
from pulse_temporal.notices import Repeats
from pulse_temporal.services.care.reconcile import Reconciler
from pulse_temporal.services.outbox.dispatch import Dispatcher

log: logging.Logger = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE = timedelta(seconds=1)


async def keep_reconciling(
    reconciler: Reconciler, dispatcher: Dispatcher, options: EngineOptions
) -> None:
    """Compare the mirror with Temporal whenever that is due, until canceled.

    Every worker looks; the reconciler's turn in Postgres decides which of them compares.
    """
    repeats = Repeats()
    while True:
        await asyncio.sleep(options.reconcile_interval.total_seconds() / 2)
        client = dispatcher.client
        if client is None:
            continue
        try:
            await reconciler.turn(client)
            repeats.is_over()
        except PulseError as error:
            facts = {"error": str(error)}
            if repeats.is_due(f"{error}"):
                log.warning(
                    "The runs on record were not compared with Temporal: %(error)s",
                    facts,
                    extra=facts,
                )


async def keep_alive(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop until canceled; log an unexpected error and start the loop over."""
    repeats = Repeats()
    while True:
        try:
            await loop()
        except Exception as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # an error in a clean-up hid the cancel
                raise asyncio.CancelledError from None
            facts = {"loop": name, "error": repr(error)}
            if repeats.is_due(repr(error)):
                log.exception(
                    "Background loop %(loop)s failed and starts over: %(error)s",
                    facts,
                    extra=facts,
                )
            await asyncio.sleep(PAUSE_AFTER_FAILURE.total_seconds())
