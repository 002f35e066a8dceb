"""The engine's methods that set up, look after, start and stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.health import HealthReport
from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.store.migrate import migrate


class Upkeep(Methods):
    """What an engine does for all that Pulse stands on; works without ``start``."""

    @operation
    async def migrate(self) -> list[str]:
        """Create or update the tables and give the names of the migrations applied.

        Safe at every start and from many processes at once.

        Raises:
            ConfigurationError: The DSN is wrong, or the database is not encoded in UTF8.
            MigrationError: The database is newer than this code, or was changed by hand.
            MissingRightError: The role may not create tables, and some are missing.
            PostgresUnavailableError: Postgres does not answer.
        """
        return await migrate(self._parts.database, task_queue=self._parts.options.task_queue)

    @operation
    async def reconcile(self, *, dry_run: bool = False, confirm: bool = False) -> ReconcileReport:
        """Compare all open runs and all schedules with Temporal, and repair what differs.

        Workers do this by themselves, a page of runs each ``reconcile_interval``. A run whose
        workflow was terminated, timed out or failed becomes failed, and can be retried. One
        whose workflow was deleted, or lost with Temporal's data, goes on as its next generation
        from what is on record. Each repair is told in the run's log, and so in its timeline.

        Nothing is repaired when more than a fifth of the open runs, and at least ten, are not in
        Temporal, or when Temporal's namespace is another one than last time: it may be the wrong
        Temporal. The report says so in ``halted``.

        Args:
            dry_run: Only say what would be repaired.
            confirm: Repair also what would be halted.

        Raises:
            PostgresUnavailableError: Postgres does not answer.
            TemporalUnavailableError: Temporal does not answer; what was found is repaired later.
        """
        report = await self._parts.maintenance.reconcile(dry_run=dry_run, confirm=confirm)
        self._parts.process.nudge()
        return report

    @operation
    async def check_health(self, *, compare: bool = True) -> HealthReport:
        """Look at everything that Pulse stands on; ``pulse doctor`` prints the report.

        A server that does not answer is a finding in the report, not an error. The checks, by
        name: ``postgres``, ``tables``, ``rights`` (of the database role), ``temporal``,
        ``search_attributes``, ``workers`` (of this engine's task queue), ``outbox``,
        ``pending_runs``, ``blocked_steps``, ``other_queues`` (of this database, with work but no
        worker), ``schedules`` (crons that Temporal refuses), ``reconciler`` (its last
        comparison), ``sharing`` (workers of other databases on this queue) and ``mirror`` (a
        comparison now, without a repair). Works without ``start``, and costs the same however
        many runs there are.

        Args:
            compare: Check ``mirror``, which asks Temporal about up to 500 runs. False where
                health is asked for often.
        """
        return await self._parts.maintenance.check_health(compare=compare)


class Lifecycle(Methods):
    """Start and stop, and what an engine lends."""

    async def __aenter__(self) -> Self:
        """Start the engine."""
        await self.start()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the engine."""
        await self.stop()

    async def start(self, *, worker: bool = True) -> None:
        """Start working on runs.

        Temporal may be away: signals are stored meanwhile, and their runs start when it is back.
        A start that fails, or is canceled, leaves nothing running. Prefer ``async with engine:``,
        which cannot forget to stop.

        Args:
            worker: False emits and starts runs, but leaves the handlers to other processes.

        Raises:
            ConfigurationError: The engine is started already, is being started or stopped, or
                was stopped while it started.
            PostgresUnavailableError: Postgres does not answer.
            MissingRightError: The database role may not do what runs need.
            SchemaError: The tables are missing; call ``migrate``.
        """
        await self._parts.process.start(work=worker)

    async def stop(self) -> None:
        """Take no more work; handlers that run may finish within ``shutdown_grace``.

        What does not finish goes on in another process, without costing an attempt. Calling
        it twice, or without ``start``, closes the database connections and no more. All calls
        that come meanwhile wait for the same end, and it goes on when one of them is canceled
        or runs out of time: call it again to wait for the rest. A start that is under way ends.

        Raises:
            ConfigurationError: The engine was started in another event loop, which is alive.
        """
        await self._parts.feed.close()
        await self._parts.process.stop()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend an asyncpg connection in a transaction that commits when the block ends well.

        Pass it to ``emit``: the signal joins the application's own writes on it, and its runs
        start right at the commit instead of at the relay's next look.

        Raises:
            TransactionFailedError: Nothing is committed: a statement had failed and its error was
                swallowed, or a constraint holds.
            TransactionEndedError: The block itself has sent COMMIT or ROLLBACK.
            TransactionInDoubtError: The connection broke during the commit.
            PostgresUnavailableError: Postgres does not answer; nothing is committed.
        """
        async with self._parts.emitter.transaction() as connection:
            yield connection
