"""Keep a connection to Temporal and a worker on it; connect again when either fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from pulse_temporal.activities.handover import Handover
from pulse_temporal.activities.strangers import Strangers
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import ConfigurationError, TemporalUnavailableError
from pulse_temporal.handlers.threads import HandlerThreads
from pulse_temporal.notices import Repeats
from pulse_temporal.services.care.pollers import identity_of
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.temporal.attributes import ensure_search_attributes
from pulse_temporal.temporal.client import check_namespace, connect
from pulse_temporal.worker.activities import Activities
from pulse_temporal.worker.build import WORKFLOW_THREADS, build_worker
from pulse_temporal.worker.polling import CLEAN_UP, Polling
from pulse_temporal.worker.presence import Presence

log: logging.Logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE_FOR_PEOPLE = timedelta(minutes=5)
"""Longest pause while a person has to act, for example create a namespace."""

STEADY = timedelta(minutes=1)
"""A connection that lasted this long was sound: the pauses begin anew at ``FIRST_PAUSE``."""

_MEANWHILE = (
    " Nothing runs on task queue %(task_queue)r here meanwhile; signals are stored, and their runs"
    " start later. Next try in %(next_try_s)g s."
)
AWAY = "Temporal is not available (namespace %(namespace)r): %(cause)s" + _MEANWHILE
UNFIT = "Temporal cannot be used until somebody acts: %(cause)s" + _MEANWHILE
BROKEN = "Temporal's worker failed and starts over: %(cause)s" + _MEANWHILE


class Greet(Protocol):
    """Called with each new connection."""

    def __call__(self, client: Client, *, work: bool) -> Awaitable[None]:
        """Log what is connected; ``work``: whether handlers run in this process."""
        ...


class Link:
    """Keeps one connection, and one worker on it where this process works.

    Attributes:
        ready: Set when Temporal is connected, or when the first try has found it away. Then
            ``start()`` returns: an engine starts, and stores signals, without Temporal.

    Args:
        target: Address or client; None for what the environment says.
        dispatcher: Is given the client while it is connected.
        activities: Makes the activities of each worker.
        presence: Has the gate that says when the worker polls.
        options: Of the engine.
        greet: Called with each new connection.
    """

    def __init__(
        self,
        target: str | Client | None,
        dispatcher: Dispatcher,
        activities: Activities,
        presence: Presence,
        options: EngineOptions,
        *,
        greet: Greet,
    ) -> None:
        self.target = target
        self.dispatcher = dispatcher
        self.activities = activities
        self.presence = presence
        self.options = options
        self.greet = greet
        self._repeats = Repeats()
        self.begin()

    def begin(self) -> None:
        """Get ready for a start; events belong to the event loop, which may be a new one."""
        self.ready: asyncio.Event = asyncio.Event()
        self._stopping = asyncio.Event()
        self._polling: Polling | None = None

    def take_no_more(self) -> None:
        """Do not connect again, nor make another worker when the present one ends."""
        self._stopping.set()

    async def end_worker(self) -> None:
        """Shut the worker down; log and leave it behind when that takes too long."""
        if self._polling is None:
            return
        try:
            await self._polling.end()
        except TimeoutError:
            log.error(  # noqa: TRY400 - the trace shows only this wait
                "Temporal's worker did not end within %g s and is left behind.",
                self._worker_seconds,
            )

    @property
    def _worker_seconds(self) -> float:
        """Bound of a worker's shutdown: the grace of its handlers and the time to clean up."""
        return (self.options.shutdown_grace + CLEAN_UP).total_seconds()

    async def run(self, *, work: bool) -> None:
        """Connect and work until stopped; after a failure, pause and connect again.

        Raises:
            ConfigurationError: Waiting does not mend what is wrong, and it was found at the
                start. Found later it is only logged: a process at work is not ended by a fault
                that a person may be mending.
        """
        pause, loop = FIRST_PAUSE, asyncio.get_running_loop()
        while not self._stopping.is_set():
            began, longest = loop.time(), LONGEST_PAUSE
            try:
                await self._serve(work=work)
            except ConfigurationError as error:
                if not self.ready.is_set():  # start() raises it
                    raise
                longest = LONGEST_PAUSE_FOR_PEOPLE
                self._tell(UNFIT, error, pause)
            # The SDK raises RuntimeError for what its part in Rust could not do.
            except (TemporalUnavailableError, RPCError, RuntimeError) as error:
                self._tell(AWAY, error, pause)
            except Exception as error:  # noqa: BLE001 - plugins and interceptors raise anything
                self._tell(BROKEN, error, pause)
            finally:
                self.dispatcher.client = None
            if not self._stopping.is_set():
                self.ready.set()
                await asyncio.sleep(pause.total_seconds())

                lasted = loop.time() - began > STEADY.total_seconds()
                pause = FIRST_PAUSE if lasted else min(pause * 2, longest)

    async def _serve(self, *, work: bool) -> None:
        """Connect, check what waiting does not mend, and work until stopped.

        The checks come before the dispatcher has the client: with a namespace or a search
        attribute missing, every start would fail.
        """
        timeout = self.options.temporal_timeout
        client = await connect(self.target, namespace=self.options.namespace)
        await check_namespace(client, timeout=timeout)
        await ensure_search_attributes(client, timeout=timeout)
        await self.greet(client, work=work)
        self.dispatcher.client = client
        if work:
            await self._work(client)
        else:
            self.ready.set()
            self._repeats.is_over()
            await self._stopping.wait()

    def _tell(self, message: str, error: BaseException, pause: timedelta) -> None:
        """Log a failure with its cause; the same cause again only after growing pauses."""
        cause = f"{error}" or type(error).__name__
        if self._repeats.is_due(cause):
            facts = {
                "cause": cause,
                "namespace": self.options.namespace,
                "task_queue": self.options.task_queue,
                "next_try_s": pause.total_seconds(),
            }
            is_unforeseen = message is BROKEN
            log.error(message, facts, extra=facts, exc_info=error if is_unforeseen else None)

    async def _work(self, client: Client) -> None:
        """Poll for tasks until the worker is shut down."""
        # Temporal counts local and queued activities apart: ``concurrency`` of each may run.
        threads = HandlerThreads(2 * self.options.concurrency)
        interpreters = ThreadPoolExecutor(WORKFLOW_THREADS, thread_name_prefix="pulse-workflow")
        transactions = self.activities.transactions()
        watchdog = self.activities.watchdog()
        handover = Handover()
        database = self.activities.database.id or ""
        strangers = Strangers(task_queue=self.options.task_queue, database=database)
        activities = self.activities.all(
            transactions=transactions,
            threads=threads,
            strangers=strangers,
            watchdog=watchdog,
            handover=handover,
        )
        watchdog.start()
        try:
            async with asyncio.timeout(None) as bound:

                async def bound_the_end(_: BaseException) -> None:
                    """Bound the shutdown of a worker that has failed.

                    The SDK then waits for the activities that it had begun, without a limit.
                    """
                    loop = asyncio.get_running_loop()
                    loop.call_later(self.options.shutdown_grace.total_seconds(), handover.cut)
                    bound.reschedule(loop.time() + self._worker_seconds)

                def make() -> Worker:
                    return build_worker(
                        client,
                        activities,
                        self.options,
                        interpreters=interpreters,
                        strangers=strangers,
                        identity=identity_of(self.activities.worker_id, database),
                        on_fatal_error=bound_the_end,
                    )

                self._polling = Polling(
                    make, self.presence.gate, handover, grace=self.options.shutdown_grace
                )
                self._polling.prepare()  # raises here, not in run(): start() reports it
                self.ready.set()
                self._repeats.is_over()
                await self._polling.run()
            # Not in the finally: a worker that was left behind still evicts workflows from its
            # cache, and without a thread it would try that again for ever. Its threads end when
            # nothing refers to their pool any more.
            interpreters.shutdown(wait=False)
        finally:
            self._polling = None
            threads.close()
            watchdog.end()
            await transactions.close()
