"""The engine's methods that set up, start, emit and stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from pulse_temporal.config import EngineOptions
from pulse_temporal.model.health import HealthReport
from pulse_temporal.model.reconcile import ReconcileReport
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.care.maintenance import Maintenance
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.services.signals.many import emit_many
from pulse_temporal.store.connection import Connection
from pulse_temporal.store.database import Database
from pulse_temporal.store.migrate import migrate
from pulse_temporal.worker.process import Process


class Lifecycle:
    """What an engine does as a whole."""

    options: EngineOptions
    _maintenance: Maintenance
    _database: Database
    _emitter: Emitter
    _process: Process
    _waiter: RunWaiter

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

    async def migrate(self) -> list[str]:
        """Create or update the tables and give the names of the migrations applied.

        Safe at every start and from many processes at once.

        Raises:
            ConfigurationError: The DSN is wrong, or the database is not encoded in UTF8.
            MigrationError: The database is newer than this code, or was changed by hand.
            MissingRightError: The role may not create tables, and some are missing.
            PostgresUnavailableError: Postgres does not answer.
        """
        return await migrate(self._database, task_queue=self.options.task_queue)

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
        await self._process.start(work=worker)

    async def stop(self) -> None:
        """Take no more work; handlers that run may finish within ``shutdown_grace``.

        What does not finish goes on in another process, without costing an attempt. Calling
        it twice, or without ``start``, closes the database connections and no more. All calls
        that come meanwhile wait for the same end, and it goes on when one of them is canceled
        or runs out of time: call it again to wait for the rest. A start that is under way ends.

        Raises:
            ConfigurationError: The engine was started in another event loop, which is alive.
        """
        await self._process.stop()

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
        report = await self._maintenance.reconcile(dry_run=dry_run, confirm=confirm)
        self._process.nudge()
        return report

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
        return await self._maintenance.check_health(compare=compare)

    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan a run for every definition that it matches.

        Signal, runs and start commands commit together or not at all; Temporal is not asked.
        The runs start right after the commit, or when Temporal is back.

        Args:
            signal: What happened; a mapping may use camelCase or snake_case. ``payload`` is a
                JSON object of at most ``limits.payload_bytes`` (256 KiB).
            connection: An asyncpg connection of the caller, in a transaction: everything joins
                it, and the runs exist, and start, when the caller commits. Other drivers emit
                with ``SELECT pulse_emit(...)``.

        Returns:
            The stored signal. ``run_ids`` follow the age of the definitions, oldest first. With
            an ``idempotency_key`` that was used before, the first signal, ``duplicate`` set.

        Raises:
            ConfigurationError: ``connection`` is in no transaction, or none of asyncpg.
            UnknownSignalError: The type is not registered.
            SignalMismatchError: Source or resource type differs from the registration.
            SignalLimitError: It would start more runs, or runs with more steps, than
                ``limits.runs_per_signal`` and ``limits.steps_per_signal`` allow.
            PayloadError: The payload does not fit the registered schema.
            JsonValueError: The payload is no canonical JSON, or is too large.
            IdempotencyConflictError: The key was used for other content.
            EmitBusyError: Another open transaction uses the key; emit again.
            PostgresUnavailableError: Postgres does not answer. The message says when it is not
                known whether the signal is stored; with an ``idempotency_key`` emit again.
        """
        return await self._emitter.emit(signal, connection=connection)

    async def emit_many(
        self,
        signals: Sequence[TriggerInput | Mapping[str, object]],
        *,
        connection: Connection | None = None,
    ) -> list[TriggerEnvelope]:
        """Store many signals at once, with a run for every definition that each of them matches.

        All of it commits together or not at all, in one transaction; the rest is as with ``emit``.
        For imports, queues that are read in batches, and whatever else brings many signals.

        Args:
            signals: At most 1 000, of any tenants, whose payloads have at most 16 MiB together.
            connection: An asyncpg connection of the caller, as with ``emit``.

        Returns:
            The stored signals in the order given. Of signals with the same ``idempotency_key``
            the first is stored; for the others, and for keys that were used before, comes the
            signal that the key belongs to, ``duplicate`` set.

        Raises:
            SignalError: One is malformed, or they are too many or too large; its subclasses as
                with ``emit``. ``index`` and the message say which one.
            JsonValueError: A payload is no canonical JSON, or is too large; ``where`` says whose.
            IdempotencyConflictError: A key was used for other content, by one of these too.
            EmitBusyError: Another open transaction uses one of the keys; emit again.
            PostgresUnavailableError: Postgres does not answer. Whether the signals are stored is
                not known when the connection broke; with keys emit again.
        """
        return await emit_many(self._emitter, signals, connection=connection)

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
        async with self._emitter.transaction() as connection:
            yield connection
