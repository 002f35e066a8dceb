"""Reconcile and check health on demand, whether or not a worker runs in this process."""

from __future__ import annotations

from temporalio.client import Client

from pulse_temporal.clock import ServerClock
from pulse_temporal.config import EngineOptions
from pulse_temporal.model.health import HealthReport
from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.services.care.health import HealthChecks
from pulse_temporal.services.care.reconcile import Reconciler
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.store.database import Database
from pulse_temporal.temporal.client import connect


class Maintenance:
    """Reconciles and checks health on demand; connects to Temporal if the engine has not."""

    def __init__(
        self,
        database: Database,
        reconciler: Reconciler,
        dispatcher: Dispatcher,
        target: str | Client | None,
        options: EngineOptions,
        *,
        clock: ServerClock,
    ) -> None:
        self.database = database
        self.reconciler = reconciler
        self.dispatcher = dispatcher
        self.target = target
        self.options = options
        self.clock = clock

    async def reconcile(self, *, dry_run: bool, confirm: bool) -> ReconcileReport:
        """Compare the mirror with Temporal; see ``Engine.reconcile``."""
        client = await self._client()
        return await self.reconciler.compare(client, dry_run=dry_run, confirm=confirm)

    async def check_health(self, *, compare: bool) -> HealthReport:
        """Check servers, workers and backlogs; see ``Engine.check_health``."""
        checks = HealthChecks(self.database, self.reconciler, self.options, clock=self.clock)
        return await checks.report(self._client, compare=compare)

    async def _client(self) -> Client:
        """Return the engine's client while it is connected, or else a new one."""
        return self.dispatcher.client or await connect(
            self.target, namespace=self.options.namespace, timeout=self.options.temporal_timeout
        )
