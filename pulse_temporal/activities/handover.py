"""Hand steps over to other workers when this one stops before their handlers are done."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

WORKER_SHUTDOWN = "WorkerShutdown"
"""The SDK's own name for a failure of an activity that a stopping worker has given back."""


class Handover:
    """Knows the queued deliveries of a process, and cuts them off when its grace is over.

    The SDK's own grace cannot be used: it begins whenever a worker ends its polls, and one that
    has lost Postgres ends them long before it stops.

    Attributes:
        is_cut: The grace is over.
    """

    def __init__(self) -> None:
        self.is_cut = False
        self._deliveries: set[asyncio.Task[object]] = set()

    @contextmanager
    def covering(self) -> Generator[None]:
        """Return a context in which the running activity is cut off when the grace is over.

        Raises:
            ApplicationError: It was cut off, so Temporal delivers the step to another worker.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Only a task can be cut off.")
        self._deliveries.add(task)
        if self.is_cut:  # the next await ends it
            task.cancel()
        try:
            yield
        except asyncio.CancelledError:
            if not self.is_cut:
                raise
            # Temporal has not asked for this cancel, so the SDK would log it as a fault of the
            # handler, with its trace. This failure is quiet, and delivered elsewhere at once.
            task.uncancel()
            raise ApplicationError(
                "The worker stops, and hands the step over to another one.",
                type=WORKER_SHUTDOWN,
                category=ApplicationErrorCategory.BENIGN,
            ) from None
        finally:
            self._deliveries.discard(task)

    def cut(self) -> None:
        """Cut off what still runs, and whatever comes after."""
        self.is_cut: bool = True
        for task in self._deliveries:
            task.cancel()
