"""The link to Temporal: connect, work, and begin again when either fails."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import TemporalUnavailableError
from pulse_temporal.handlers.threads import HandlerThreads
from pulse_temporal.services.dispatch import Dispatcher
from pulse_temporal.temporal import connect, ensure_search_attributes
from pulse_temporal.worker.activities import Activities
from pulse_temporal.worker.build import WORKFLOW_THREADS, build_worker
from pulse_temporal.worker.presence import Presence

log = logging.getLogger(__name__)

WORKER_PATIENCE = timedelta(seconds=15)
LEFT_PATIENCE = timedelta(seconds=2)
"""How long a worker may take whose event loop ends without ``stop()``."""

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=10)


class Link:
    """Keeps one connection, and one worker on it where this process works.

    Attributes:
        ready: Done when Temporal is connected, or was found to be away.
    """

    def __init__(
        self,
        target: str | Client | None,
        dispatcher: Dispatcher,
        activities: Activities,
        presence: Presence,
        options: EngineOptions,
    ) -> None:
        self.target = target
        self.dispatcher = dispatcher
        self.activities = activities
        self.presence = presence
        self.options = options
        self.begin()

    def begin(self) -> None:
        """Get ready for a start."""
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._worker: Worker | None = None

    def take_no_more(self) -> None:
        """Connect no more, and do not work again when the present worker ends."""
        self._stopping.set()

    async def end_worker(self) -> None:
        """Shut the worker down; it is left behind when that takes too long."""
        if self._worker is None:
            return
        try:
            await asyncio.wait_for(self._worker.shutdown(), self._worker_seconds)
        except TimeoutError:
            log.error("Temporal's worker did not end; it is left behind")  # noqa: TRY400 - the trace shows only this wait

    @property
    def _worker_seconds(self) -> float:
        """Bound of a worker's shutdown: its handlers' grace, and some time to clean up."""
        return (self.options.shutdown_grace + WORKER_PATIENCE).total_seconds()

    async def run(self, *, work: bool) -> None:
        """Connect and work until stopped; while Temporal is away, try again and again."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                client = await connect(self.target, namespace=self.options.namespace)
                await ensure_search_attributes(client, patience=self.options.temporal_timeout)
                self.dispatcher.client = client
                pause = FIRST_PAUSE
                if work:
                    await self._work(client)
                else:
                    self.ready.set()
                    await self._stopping.wait()
            except (TemporalUnavailableError, RPCError, RuntimeError) as error:
                self.dispatcher.client = None
                log.error(  # noqa: TRY400 - the text names the cause; it comes again each round
                    "Temporal is not available; signals are stored and runs start later",
                    extra={"error": str(error), "next_try_s": pause.total_seconds()},
                )
            except Exception:
                self.dispatcher.client = None
                if not self.ready.is_set():  # a wrong option or setting: start() says so
                    raise
                log.exception("the worker failed and starts over")
            if not self._stopping.is_set():
                self.ready.set()
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _work(self, client: Client) -> None:
        """Poll for tasks until the worker is shut down."""
        # As many local and as many queued handlers may run at the same time.
        threads = HandlerThreads(2 * self.options.concurrency)
        interpreters = ThreadPoolExecutor(WORKFLOW_THREADS, thread_name_prefix="pulse-workflow")
        transactions = self.activities.transactions()
        try:
            async with asyncio.timeout(None) as bound:

                async def bound_the_end(_: BaseException) -> None:
                    """A worker that has failed may wait for ever for what it had begun."""
                    bound.reschedule(asyncio.get_running_loop().time() + self._worker_seconds)

                worker = self._worker = build_worker(
                    client,
                    self.activities.all(transactions=transactions, threads=threads),
                    self.options,
                    interpreters=interpreters,
                    gate=self.presence.gate,
                    on_fatal_error=bound_the_end,
                )
                self.ready.set()
                await _run_to_its_end(worker)
        finally:
            self._worker = None
            threads.close()
            interpreters.shutdown(wait=False)
            await transactions.close()


async def _run_to_its_end(worker: Worker) -> None:
    """Run a worker; canceled, it has a moment to end.

    A loop that ends without ``stop()`` cancels the worker's own tasks too. The part in Rust then
    waits for answers that none of them gives, and ``asyncio.run`` would wait for it for ever.
    """
    running = asyncio.ensure_future(worker.run())
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        running.cancel()
        while not (await asyncio.wait({running}, timeout=LEFT_PATIENCE.total_seconds()))[0]:
            running.cancel()
        if not running.cancelled():
            running.exception()  # seen, so that asyncio does not complain about it
        raise
    await running
