"""Run the loops of a started engine, and end them in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import ConfigurationError, PulseError
from pulse_temporal.failpoints import arm_from_environment, warn_of_failpoints
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.services.bulk.runner import BulkRunner
from pulse_temporal.services.care.reconcile import Reconciler
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.services.outbox.relay import Relay
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import health
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import Subject
from pulse_temporal.worker.life import Life
from pulse_temporal.worker.link import Link
from pulse_temporal.worker.loops import keep_alive, keep_reconciling
from pulse_temporal.worker.presence import Presence
from pulse_temporal.worker.retries import ask_again

log: logging.Logger = logging.getLogger(__name__)

STOP_PATIENCE = timedelta(seconds=30)
LEFT_PATIENCE = timedelta(seconds=5)


class Process:
    """Runs the loops of a started engine: link, relays, observers, presence, reconciler, bulk.

    Args:
        database: Closed with the process.
        registry: Whose transactional actions need connections of their own.
        link: To Temporal.
        presence: Shows that the process lives.
        dispatcher: Starts runs; has a client while Temporal is connected.
        observers: Calls the application's hooks.
        relays: One for each subject of the outbox.
        bulk: Does what bulk operations ask for.
        reconciler: Compares with Temporal now and then.
        options: Of the engine.
    """

    def __init__(  # noqa: PLR0913 - all but two are given by name
        self,
        database: Database,
        registry: Registry,
        *,
        link: Link,
        presence: Presence,
        dispatcher: Dispatcher,
        observers: Observers,
        relays: Mapping[Subject, Relay],
        bulk: BulkRunner,
        reconciler: Reconciler,
        options: EngineOptions,
    ) -> None:
        arm_from_environment()
        self.database = database
        self.registry = registry
        self.presence = presence
        self.dispatcher = dispatcher
        self.observers = observers
        self.relays = relays
        self.bulk = bulk
        self.reconciler = reconciler
        self.options = options
        self._link = link
        self._life = Life(self._end)
        self._main: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it was started; None while it is stopped."""
        return self._life.loop

    def nudge(self) -> None:
        """Make the relays look at the outbox at once: a command has just been written."""
        for relay in self.relays.values():
            relay.nudge()

    async def start(self, *, work: bool) -> None:
        """Start the loops; return when Temporal is connected, or was found to be away.

        Args:
            work: Whether handlers run here. If not, the process emits and starts its own runs.

        Raises:
            ConfigurationError: It is not stopped, or was stopped while it started.
            PostgresUnavailableError: Postgres does not answer.
            SchemaError: The tables are missing.
        """
        await self._life.start(lambda: self._begin(work=work))

    async def stop(self) -> None:
        """Take no more work, let running handlers finish within the grace, end everything.

        ``Life`` says what happens when it overlaps with a start or another stop.
        """
        await self._life.stop()

    async def _begin(self, *, work: bool) -> None:
        """Check what the start depends on, start the loops, and wait until the link is ready."""
        self._link.begin()
        self.presence.begin()
        for part in (self.dispatcher, self.observers, self.bulk, *self.relays.values()):
            part.begin()
        self._check_pool(work=work)
        warn_of_failpoints()
        # A connection that is cut at this moment must not fail the start
        # (tests/integration/test_postgres_away.py::a_start_outlives_a_connection_that_is_cut).
        for ask in (
            self._check_rights,
            self.presence.look_where,
            self.presence.publish if work else self.presence.check_schema,
        ):
            await ask_again(ask)
        self._main = asyncio.ensure_future(self._run(work=work))
        is_ready = asyncio.ensure_future(self._link.ready.wait())
        try:
            await asyncio.wait({self._main, is_ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_ready.cancel()
        if self._main.done():  # the loops run until they are canceled, so one has failed
            main, self._main = self._main, None
            _raise_first(main)

    async def _check_rights(self) -> None:
        async with self.database.session() as session:
            await health.require_rights(session)

    def _check_pool(self, *, work: bool) -> None:
        """Raise ConfigurationError for a pool of one connection with transactional actions.

        The action would hold that connection and wait for ever for another one, on which its
        step is claimed.
        """
        is_needed = work and any(each.transactional for each in self.registry.actions.values())
        if is_needed and self.database.lent_size == 1:
            raise ConfigurationError(
                "The pool of the application has max_size=1, and a transactional action needs two "
                "connections: its own, and one to claim its step. Give a pool of at least 2."
            )

    async def _end(self) -> None:
        """End everything; the connections to Postgres last, as handlers and loops use them.

        Also called after half a start, when there may be no loops yet.
        """
        main, self._main = self._main, None
        try:
            if main is not None:
                await self._wind_down(main)
        finally:
            await self._take_leave()
            await self.observers.waiter.close()
            await self.database.close()
        if main is not None and main.done() and not main.cancelled():
            _raise_first(main)

    async def _wind_down(self, main: asyncio.Future[None]) -> None:
        """End everything that runs, what needs others first.

        New starts end before the worker: a run that is started eagerly is given to this worker,
        and would stand still for its ``task_timeout`` if that no longer listened. Then the
        handlers; then the hooks of the runs that these have ended; last the loops, one of which
        calls the hooks.
        """
        self._link.take_no_more()
        await self.dispatcher.rest()
        await self._link.end_worker()
        await self.observers.drain()
        main.cancel()
        _, late = await asyncio.wait({main}, timeout=STOP_PATIENCE.total_seconds())
        if late:
            log.error(
                "The engine's loops did not end within %g s and are left behind.",
                STOP_PATIENCE.total_seconds(),
            )
        self.dispatcher.client = None  # the link may have connected again before it was canceled

    async def _take_leave(self) -> None:
        """Give up leases and the presence row, so that others need not wait for their end.

        Nothing is lost when Postgres does not answer: both expire.
        """
        with contextlib.suppress(PulseError):
            await self.dispatcher.give_back()
            await self.presence.withdraw()

    async def _run(self, *, work: bool) -> None:
        """Run all loops until canceled; only the link may end them, with a ConfigurationError."""
        loops = {"dispatcher": self.dispatcher.run, "observers": self.observers.run}
        if work:
            loops |= {f"relay of {subject}": relay.run for subject, relay in self.relays.items()}
            loops |= {
                "publisher": self.presence.run,
                "reconciler": self._keep_reconciling,
                "bulk operations": self.bulk.run,
            }
        try:
            async with asyncio.TaskGroup() as group:
                for name, loop in loops.items():
                    group.create_task(keep_alive(name, loop), name=f"pulse-{name}")
                group.create_task(self._link.run(work=work), name="pulse-temporal")
        except asyncio.CancelledError:
            # stop() cancels in state "stopping"; in "running" the event loop itself is ending.
            if self._life.state == "running":
                await self._leave_loop()
            raise

    async def _leave_loop(self) -> None:
        """Give up what others wait for, quickly, when the event loop ends without ``stop()``."""
        log.warning(
            "The event loop ends without engine.stop(): handlers are cut off, and their steps go"
            " on in another worker. Use 'async with engine:', which stops it in good order."
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEFT_PATIENCE.total_seconds()):
                await self._take_leave()
                await self.database.close()

    async def _keep_reconciling(self) -> None:
        await keep_reconciling(self.reconciler, self.dispatcher, self.options)


def _raise_first(main: asyncio.Future[None]) -> None:
    """Raise the first error that ended the loops, without the ExceptionGroup around it."""
    try:
        main.result()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
