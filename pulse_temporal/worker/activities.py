"""Make the activities of a worker and give each its parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pulse_temporal.activities.cron import CronActivities
from pulse_temporal.activities.delivery import StepServices
from pulse_temporal.activities.handover import Handover
from pulse_temporal.activities.mirror import MirrorActivities
from pulse_temporal.activities.steps import StepActivities
from pulse_temporal.activities.strangers import Strangers
from pulse_temporal.activities.trials import LocalTrials
from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.handlers.threads import HandlerThreads
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.ledger import Ledger
from pulse_temporal.services.runs.mirror import Mirror
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.watchdog import Watchdog
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.store.database import Database

BLOCKED_AFTER = timedelta(seconds=2)
"""A handler that holds up the event loop for this long counts as blocking it."""

TRIALS_SHARE = 4
"""One in four of a worker's local slots may be held by trials of steps whose length is unknown.

The others stay free for short steps, which would otherwise queue behind conditions that turn out
to be slow.
"""


class Activities:
    """Makes the activities of a worker; the link asks anew for each worker that it builds."""

    def __init__(  # noqa: PLR0913 - all but the database are given by name
        self,
        database: Database,
        *,
        registry: Registry,
        observers: Observers,
        emitter: Emitter,
        options: EngineOptions,
        worker_id: str,
        clock: Clock,
        doubt: Callable[[], None],
    ) -> None:
        self.database = database
        self.registry = registry
        self.observers = observers
        self.emitter = emitter
        self.options = options
        self.worker_id = worker_id
        self.clock = clock
        self.doubt = doubt

    def transactions(self) -> Database:
        """Return connections for transactional actions alone, one for each handler slot.

        Such an action holds its connection for as long as its handler runs. From the shared
        connections it would take those that claims, emits and the presence row need.
        """
        size = self.database.lent_size
        return Database(
            self.database.source,
            prefix=self.options.table_prefix,
            timeout=self.options.postgres_timeout,
            bounded=False,
            size=self.options.concurrency,
            # A pool of the application has a fixed size: leave half of it to everything else.
            turns=None if size is None else max(1, size // 2),
            statement_cache=self.options.statement_cache,
        )

    def watchdog(self) -> Watchdog:
        """Return the watchdog of a worker.

        It writes from a thread with a loop of its own, as the worker's loop is what is blocked.
        An asyncpg pool works in one loop only, so with a pool of the application it can warn but
        not write.
        """
        source, options = self.database.source, self.options

        def connect() -> Database:
            return Database(
                source,
                prefix=options.table_prefix,
                timeout=options.postgres_timeout,
                size=1,
                statement_cache=options.statement_cache,
            )

        # Before Temporal counts the worker as dead and gives its steps to others.
        blocked_after = min(BLOCKED_AFTER, options.heartbeat_timeout / 3)
        return Watchdog(connect if isinstance(source, str) else None, blocked_after=blocked_after)

    def all(
        self,
        *,
        transactions: Database,
        threads: HandlerThreads,
        strangers: Strangers,
        watchdog: Watchdog,
        handover: Handover,
    ) -> list[Callable[..., object]]:
        """Return the activities of one worker, for Temporal's ``Worker``.

        Args:
            transactions: Connections for transactional actions.
            threads: For handlers that are not async.
            strangers: Recognises tasks of other databases.
            watchdog: Of the event loop.
            handover: Cuts off the deliveries that outlast the grace of a stop.
        """
        mirror = Mirror(self.database, self.registry, self.observers, self.options)
        control = RunControl(self.database, self.observers)
        writes = MirrorActivities(mirror, control, self.doubt)
        ledger = Ledger(
            self.database,
            self.observers,
            self.options,
            worker_id=self.worker_id,
            clock=self.clock,
        )
        steps = StepActivities(
            services=StepServices(
                ledger,
                self.emitter,
                self.options,
                self.clock,
                watchdog,
                handover,
                self.registry.middleware,
            ),
            mirror=mirror,
            registry=self.registry,
            transactions=transactions,
            threads=threads,
            trials=LocalTrials(max(1, self.options.concurrency // TRIALS_SHARE)),
            doubt=self.doubt,
            strangers=strangers,
        )
        ticks = CronActivities(self.database, self.emitter, self.doubt)
        return [*writes.all(), *ticks.all(), steps.run]
