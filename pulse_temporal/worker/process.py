"""Run everything that a working process needs, and end it in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from pulse_temporal.activities.cron import CronActivities
from pulse_temporal.activities.delivery import Desk
from pulse_temporal.activities.mirror import MirrorActivities
from pulse_temporal.activities.steps import StepActivities
from pulse_temporal.activities.trials import Trials
from pulse_temporal.clock import ServerClock
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import ConfigurationError, PulseError, TemporalUnavailableError
from pulse_temporal.failpoints import arm_from_environment
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.handlers.threads import HandlerThreads
from pulse_temporal.model.health import HealthReport
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.services.control import RunControl
from pulse_temporal.services.definitions import WORKER_SILENCE
from pulse_temporal.services.dispatch import Dispatcher
from pulse_temporal.services.emit import Emitter
from pulse_temporal.services.health import HealthChecks
from pulse_temporal.services.ledger import Ledger
from pulse_temporal.services.mirror import Mirror
from pulse_temporal.services.observers import Observers
from pulse_temporal.services.reconcile import Reconciler
from pulse_temporal.services.relay import Relay
from pulse_temporal.store import workers
from pulse_temporal.store.database import Database
from pulse_temporal.temporal import connect, ensure_search_attributes
from pulse_temporal.worker.build import WORKFLOW_THREADS, build_worker

log = logging.getLogger(__name__)

STOP_PATIENCE = timedelta(seconds=30)
WORKER_PATIENCE = timedelta(seconds=15)
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=10)
PUBLISH_INTERVAL = timedelta(seconds=5)
TRIALS_SHARE = 4
"""Of a worker's local slots, one of so many may be held by steps that may be slow."""
FORGET_AFTER = WORKER_SILENCE * 10


class Process:
    """Connects to Temporal, works, relays the outbox and shows that it lives.

    Attributes:
        worker_id: Name of this process in attempts and in the table of workers.
        clock: Postgres's, for the lines that this process writes; set when it shows that it lives.
        dispatcher: Starts runs; has a client while Temporal is connected.
    """

    def __init__(
        self,
        database: Database,
        target: str | Client | None,
        registry: Registry,
        observers: Observers,
        options: EngineOptions,
    ) -> None:
        arm_from_environment()
        self.database = database
        self.target = target
        self.registry = registry
        self.observers = observers
        self.options = options
        self.worker_id = new_id("wrk")
        self.dispatcher = Dispatcher(database, observers, options)
        self.emitter = Emitter(database, registry, self.dispatcher, options)
        self.relay = Relay(database, self.dispatcher, options, subject="runs")
        self.schedule_relay = Relay(database, self.dispatcher, options, subject="schedules")
        self.clock = ServerClock()
        self.reconciler = Reconciler(database, observers, options, clock=self.clock)
        self._worker: Worker | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def is_running(self) -> bool:
        """Whether ``start`` has been called and ``stop`` has not."""
        return self._main is not None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it was started; None while it is not running."""
        main = self._main
        return None if main is None else main.get_loop()

    def nudge(self) -> None:
        """Look at the outbox at once: a command has just been written."""
        self.relay.nudge()
        self.schedule_relay.nudge()

    async def start(self, *, work: bool) -> None:
        """Start the loops; returns when Temporal is connected, or was found to be away.

        Args:
            work: Run handlers here; without, the process only emits and starts its own runs.

        Raises:
            ConfigurationError: It runs already.
            PostgresUnavailableError: Postgres does not answer.
            SchemaError: The tables are missing.
        """
        if self._main is not None:
            raise ConfigurationError("The engine is started already.")
        self._stopping = asyncio.Event()
        for part in (self.dispatcher, self.observers, self.relay, self.schedule_relay):
            part.begin()
        await (self._publish() if work else self._check_schema())
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._main = asyncio.create_task(  # noqa: TID251 - the one task that owns all others
            self._run(ready, work=work), name="pulse"
        )
        await asyncio.wait({self._main, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._main.done():
            main, self._main = self._main, None
            _raise_first(main)

    async def reconcile(self, *, dry_run: bool, confirm: bool) -> ReconcileReport:
        """Compare the mirror with Temporal; see ``Engine.reconcile``."""
        client = await self._client()
        report = await self.reconciler.compare(client, dry_run=dry_run, confirm=confirm)
        self.nudge()
        return report

    async def check_health(self, *, compare: bool) -> HealthReport:
        """Look at servers, workers and what waits; see ``Engine.check_health``."""
        checks = HealthChecks(self.database, self.reconciler, self.options, clock=self.clock)
        return await checks.report(self._client, compare=compare)

    async def _client(self) -> Client:
        """Give the client that is connected, or a new one."""
        return self.dispatcher.client or await connect(
            self.target, namespace=self.options.namespace, patience=self.options.temporal_timeout
        )

    async def stop(self) -> None:
        """Take no more work, let running handlers finish within the grace, end the loops."""
        main, self._main = self._main, None
        if main is None:
            return
        self._stopping.set()
        await self.dispatcher.rest()
        await self._end_worker()
        await self.observers.drain()
        main.cancel()
        _, late = await asyncio.wait({main}, timeout=STOP_PATIENCE.total_seconds())
        if late:
            log.error("the engine's loops did not end; they are left behind")
            return
        self.dispatcher.client = None  # it may have connected in the meantime
        with contextlib.suppress(PulseError):
            await self.dispatcher.give_back()
            async with self.database.session() as session:
                await workers.withdraw(session, self.worker_id)
        if not main.cancelled():
            _raise_first(main)

    @property
    def _worker_seconds(self) -> float:
        """Bound of a worker's shutdown: its handlers' grace, and some time to clean up."""
        return (self.options.shutdown_grace + WORKER_PATIENCE).total_seconds()

    async def _end_worker(self) -> None:
        """Shut the worker down; it is left behind when that takes too long."""
        if self._worker is None:
            return
        try:
            await asyncio.wait_for(self._worker.shutdown(), self._worker_seconds)
        except TimeoutError:
            log.error("Temporal's worker did not end; it is left behind")  # noqa: TRY400 - the trace shows only this wait

    async def _run(self, ready: asyncio.Future[None], *, work: bool) -> None:
        loops = {"dispatcher": self.dispatcher.run, "observers": self.observers.run}
        if work:
            loops |= {
                "relay": self.relay.run,
                "schedule relay": self.schedule_relay.run,
                "publisher": self._keep_publishing,
                "reconciler": self._keep_reconciling,
            }
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(_keep_alive(name, loop), name=f"pulse-{name}")
            group.create_task(self._serve(ready, work=work), name="pulse-temporal")

    async def _serve(self, ready: asyncio.Future[None], *, work: bool) -> None:
        """Connect and work until stopped; while Temporal is away, try again and again."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                client = await connect(self.target, namespace=self.options.namespace)
                await ensure_search_attributes(client, patience=self.options.temporal_timeout)
                self.dispatcher.client = client
                pause = FIRST_PAUSE
                if work:
                    await self._work(client, ready)
                else:
                    _settle(ready)
                    await self._stopping.wait()
            except (TemporalUnavailableError, RPCError, RuntimeError) as error:
                self.dispatcher.client = None
                log.error(  # noqa: TRY400 - the text names the cause; it comes again each round
                    "Temporal is not available; signals are stored and runs start later",
                    extra={"error": str(error), "next_try_s": pause.total_seconds()},
                )
            except Exception:
                self.dispatcher.client = None
                if not ready.done():  # a wrong option or setting: start() says so
                    raise
                log.exception("the worker failed and starts over")
            if not self._stopping.is_set():
                _settle(ready)
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _work(self, client: Client, ready: asyncio.Future[None]) -> None:
        """Poll for tasks until the worker is shut down."""
        # As many local and as many queued handlers may run at the same time.
        threads = HandlerThreads(2 * self.options.concurrency)
        interpreters = ThreadPoolExecutor(WORKFLOW_THREADS, thread_name_prefix="pulse-workflow")
        source = self.database.source
        transactions = Database(
            source,
            prefix=self.options.table_prefix,
            patience=self.options.postgres_timeout,
            bounded=False,
            size=self.options.concurrency,
            # Of the application's own pool, half is left to everything else.
            turns=None if isinstance(source, str) else max(1, source.get_max_size() // 2),
            statement_cache=self.options.statement_cache,
        )
        try:
            activities = self._activities(transactions, threads)
            async with asyncio.timeout(None) as bound:

                async def bound_the_end(_: BaseException) -> None:
                    """A worker that has failed may wait for ever for what it had begun."""
                    bound.reschedule(asyncio.get_running_loop().time() + self._worker_seconds)

                worker = self._worker = build_worker(
                    client,
                    activities,
                    self.options,
                    interpreters=interpreters,
                    on_fatal_error=bound_the_end,
                )
                _settle(ready)
                await worker.run()
        finally:
            self._worker = None
            threads.close()
            interpreters.shutdown(wait=False)
            await transactions.close()

    def _activities(
        self, transactions: Database, threads: HandlerThreads
    ) -> list[Callable[..., object]]:
        mirror = Mirror(self.database, self.registry, self.observers, self.options)
        writes = MirrorActivities(mirror, RunControl(self.database, self.observers))
        ledger = Ledger(
            self.database,
            self.observers,
            self.options,
            worker_id=self.worker_id,
            clock=self.clock,
        )
        steps = StepActivities(
            desk=Desk(ledger, self.emitter, self.options, self.clock),
            mirror=mirror,
            registry=self.registry,
            transactions=transactions,
            threads=threads,
            trials=Trials(max(1, self.options.concurrency // TRIALS_SHARE)),
        )
        ticks = CronActivities(self.database, self.emitter)
        return [*writes.all(), *ticks.all(), steps.run]

    async def _keep_publishing(self) -> None:
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL.total_seconds())
            try:
                await self._publish()
            except PulseError as error:
                log.warning("this worker cannot show that it lives", extra={"error": str(error)})

    async def _keep_reconciling(self) -> None:
        """Look now and then whether a comparison with Temporal is due, and make it."""
        while True:
            await asyncio.sleep(self.options.reconcile_interval.total_seconds() / 2)
            client = self.dispatcher.client
            if client is None:
                continue
            try:
                await self.reconciler.turn(client)
            except PulseError as error:
                log.warning("the mirror was not compared", extra={"error": str(error)})

    async def _check_schema(self) -> None:
        async with self.database.session() as session:
            await workers.forget(session, silence=FORGET_AFTER)

    async def _publish(self) -> None:
        async with self.database.session() as session:
            published_at = await workers.publish(
                session,
                self.worker_id,
                task_queue=self.options.task_queue,
                actions=self.registry.actions,
                conditions=self.registry.conditions,
            )
            self.clock.set(published_at)
            await workers.forget(session, silence=FORGET_AFTER)


async def _keep_alive(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop until canceled; what it did not foresee is logged and does not end it."""
    while True:
        try:
            await loop()
        except Exception:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # an error in a clean-up hid the cancel
                raise asyncio.CancelledError from None
            log.exception("a background loop failed and starts over", extra={"loop": name})
            await asyncio.sleep(FIRST_PAUSE.total_seconds())


def _raise_first(main: asyncio.Task[None]) -> None:
    """Raise what ended the loops, without the group around it."""
    try:
        main.result()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
