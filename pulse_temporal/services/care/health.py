"""Check everything that Pulse depends on, and report what is wrong in words.

A server that is away is a finding, not an error. Every check is bounded, in time by the engine's
options and in rows by the limits below, so that a busy system is checked as fast as an idle one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal.clock import Clock
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    ConfigurationError,
    MigrationError,
    MissingRightError,
    PulseError,
    SchemaError,
    StoreError,
    TemporalUnavailableError,
)
from pulse_temporal.model.health import CHECK_NAMES, HealthCheck, HealthReport
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.care.diagnosis import (
    PENDING_PATIENCE,
    judge_blocked,
    judge_idle_queues,
    judge_mirror,
    judge_outbox,
    judge_pending,
    judge_reconciler,
    judge_rights,
    judge_schedules,
    judge_server,
    judge_tables,
    judge_workers,
    length,
)
from pulse_temporal.services.care.reconcile import Reconciler
from pulse_temporal.services.care.temporal_checks import (
    check_attributes,
    check_sharing,
    judge_temporal,
    refusal,
    temporal_failed,
)
from pulse_temporal.services.definitions.checks import WORKER_SILENCE
from pulse_temporal.store import health, migrate, reconcile, workers
from pulse_temporal.store.database import Database
from pulse_temporal.temporal.executions import namespace_id

COMMANDS = 10_000
ROWS = 1_000
COMPARE_PATIENCE = timedelta(seconds=20)

Connect = Callable[[], Awaitable[Client]]


class HealthChecks:
    """Checks one database, one Temporal namespace and one task queue."""

    def __init__(
        self, database: Database, reconciler: Reconciler, options: EngineOptions, *, clock: Clock
    ) -> None:
        self.database = database
        self.reconciler = reconciler
        self.options = options
        self.clock = clock
        self._database_id: str | None = None

    async def report(self, connect: Connect, *, compare: bool) -> HealthReport:
        """Make all checks; see ``Engine.check_health``."""
        async with asyncio.TaskGroup() as group:
            stored = group.create_task(self._postgres())
            running = group.create_task(self._temporal(connect))
        client, told = running.result()
        checks = [*stored.result(), *told]
        are_tables_there = any(c.name == "tables" and c.status == "ok" for c in checks)
        if client is not None and are_tables_there:
            checks.append(await check_sharing(client, self.options, database=self._database_id))
            if compare:
                checks.append(await self._mirror(client))
        # A check may come twice, when a later one finds that an earlier one spoke too soon: the
        # tables were all there, but one of them cannot be read. The later one counts.
        made = {check.name: check for check in checks}
        return HealthReport(
            at=self.clock(),
            checks=tuple(made[name] for name in CHECK_NAMES if name in made),
            not_checked=tuple(name for name in CHECK_NAMES if name not in made),
        )

    async def _postgres(self) -> list[HealthCheck]:
        """Return the checks that Postgres answers, as far as they can be made."""
        checks: list[HealthCheck] = []
        try:
            async with self.database.session() as session:
                checks.append(judge_server(await health.server(session)))
                rights = await health.rights(session)
                if rights.missing or rights.can_write:  # else there are no tables yet
                    checks.append(judge_rights(rights))
                checks.append(judge_tables(await migrate.missing(session)))
                if checks[-1].status == "ok":
                    checks += await self._queue(session)
        except SchemaError as error:
            checks.append(_schema_failed(error, checks, prefix=self.options.table_prefix))
        except MigrationError as error:
            checks.append(HealthCheck(name="tables", status="failed", summary=str(error)))
        except MissingRightError as error:
            if not any(check.name == "rights" for check in checks):
                checks.append(HealthCheck(name="rights", status="failed", summary=str(error)))
        except (StoreError, ConfigurationError) as error:
            checks.append(
                HealthCheck(
                    name="postgres",
                    status="failed",
                    summary=str(error),
                    advice="Does the server run, and does DATABASE_URL name it?",
                )
            )
        return checks

    async def _queue(self, session: Session) -> list[HealthCheck]:
        """Return the checks of what workers do, from tables that are complete."""
        options, queue = self.options, self.options.task_queue
        found = await health.workers(session, task_queue=queue, silence=WORKER_SILENCE)
        known = await workers.published_names(session, task_queue=queue, silence=WORKER_SILENCE)
        outbox = await health.outbox(session, task_queue=queue, limit=COMMANDS)
        pending = await health.pending_runs(
            session, task_queue=queue, age=PENDING_PATIENCE, limit=ROWS
        )
        blocked = await health.blocked_steps(session, task_queue=queue, limit=ROWS)
        state = await reconcile.state(session, task_queue=queue)
        idle = await health.idle_queues(
            session, task_queue=queue, silence=WORKER_SILENCE, commands=COMMANDS, runs=ROWS
        )
        refused = await health.refused_schedules(session, task_queue=queue, limit=ROWS)
        self._database_id = (await workers.identity(session)).id
        return [
            judge_workers(
                found, handlers=len(known.actions) + len(known.conditions), task_queue=queue
            ),
            judge_outbox(outbox, limit=COMMANDS, are_workers_alive=found.alive > 0),
            judge_pending(pending, limit=ROWS),
            judge_blocked(blocked, limit=ROWS, fails_after=length(options.blocked_step_timeout)),
            judge_reconciler(
                state.report,
                workers=found,
                interval=options.reconcile_interval,
                now=self.clock(),
            ),
            judge_idle_queues(idle, task_queue=queue),
            judge_schedules(refused, limit=ROWS),
        ]

    async def _temporal(self, connect: Connect) -> tuple[Client | None, list[HealthCheck]]:
        """Return a client and the checks that Temporal answers; no client if it cannot be used."""
        timeout = self.options.temporal_timeout
        try:
            client = await connect()
            await namespace_id(client, timeout=timeout)
        except (TemporalUnavailableError, ConfigurationError) as error:
            return None, [temporal_failed(str(error))]
        except RPCError as error:
            return None, [temporal_failed(refusal(error))]
        return client, [
            judge_temporal(client),
            await check_attributes(client, timeout=timeout),
        ]

    async def _mirror(self, client: Client) -> HealthCheck:
        """Compare a page of runs with Temporal; repair nothing."""
        try:
            async with asyncio.timeout(COMPARE_PATIENCE.total_seconds()):
                report = await self.reconciler.glance(client)
        except TimeoutError:
            reason = f"it took longer than {length(COMPARE_PATIENCE)}"
        except PulseError as error:
            reason = str(error)
        else:
            return judge_mirror(report)
        return HealthCheck(
            name="mirror",
            status="warning",
            summary=f"The mirror could not be compared with Temporal: {reason}.",
            advice="Try again; Postgres or Temporal is slow.",
        )


def _schema_failed(
    error: SchemaError, checks: Sequence[HealthCheck], *, prefix: str
) -> HealthCheck:
    """Return the finding for a table that is missing or wrong."""
    if any(check.name == "tables" for check in checks):  # all migrations were applied once
        return HealthCheck(
            name="tables",
            status="failed",
            summary=f"A table is not as it should be: {error}",
            advice="Somebody has changed it by hand. Restore it from a backup.",
        )
    return HealthCheck(
        name="tables",
        status="failed",
        summary=f"There are no tables {prefix}*.",
        advice="Call engine.migrate() once. Does DATABASE_URL name the right database, and"
        " PULSE_TABLE_PREFIX the right tables?",
    )
