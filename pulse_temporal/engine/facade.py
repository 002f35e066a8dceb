"""Make an engine, start it, emit with it, stop it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, Unpack

from pydantic import ValidationError
from temporalio.client import Client

from pulse_temporal.config import EngineOptions, EngineSettings
from pulse_temporal.engine.definitions import DefinitionMethods
from pulse_temporal.engine.registration import Registration
from pulse_temporal.engine.runs import RunMethods
from pulse_temporal.errors import ConfigurationError
from pulse_temporal.handlers.hooks import RunHook, StepHook
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.control import RunControl
from pulse_temporal.services.definitions import Definitions
from pulse_temporal.services.history import History
from pulse_temporal.services.observers import Observers
from pulse_temporal.services.waiting import RunWaiter
from pulse_temporal.store.connection import Connection, Pool
from pulse_temporal.store.database import Database
from pulse_temporal.store.migrate import migrate
from pulse_temporal.worker.process import Process


def create_engine(  # noqa: PLR0913 - all but two are options, given by name
    db: str | Pool,
    temporal: str | Client | None = None,
    *,
    namespace: str = "default",
    table_prefix: str = "pulse_",
    queue_prefix: str = "pulse",
    concurrency: int = 100,
    on_step_complete: StepHook | None = None,
    on_run_complete: RunHook | None = None,
    **settings: Unpack[EngineSettings],
) -> Engine:
    """Make an engine; nothing is connected yet.

    Args:
        db: DSN of Postgres 15 or newer, or the application's asyncpg pool (not closed by us).
        temporal: ``host:port``, a connected client, or None for what the environment and
            ``temporal.toml`` say (address, TLS, API key).
        namespace: Temporal namespace; it must exist.
        table_prefix: What table names begin with.
        queue_prefix: Temporal task queue; engines that share it share their work.
        concurrency: Handlers that run at the same time in this process.
        on_step_complete: Called with a ``StepCompleteEvent`` when this process has ended a step.
        on_run_complete: Called with a ``RunCompleteEvent`` when this process has ended a run.
            Hooks run in the background of a started engine; what they do hurts no run.
        settings: Any other field of ``EngineOptions``.

    Raises:
        ConfigurationError: An option is outside its bounds.
    """
    try:
        options = EngineOptions(
            namespace=namespace,
            table_prefix=table_prefix,
            queue_prefix=queue_prefix,
            concurrency=concurrency,
            **settings,
        )
    except ValidationError as error:
        reasons = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"An engine option is wrong: {reasons}") from error
    return Engine(db, temporal, options, on_step=on_step_complete, on_run=on_run_complete)


class Engine(Registration, DefinitionMethods, RunMethods):
    """Signals in, durable runs out; everything about them in Postgres.

    ``async with engine:`` starts and stops it. Definitions can be managed, and questions asked,
    without starting it; emitting works too, and the runs start when a worker is there.

    Wherever a method takes ``tenant_id``, giving it narrows the call to that tenant: another
    tenant's ids are unknown then. Leave it out only where the caller may see all tenants.
    """

    def __init__(
        self,
        db: str | Pool,
        temporal: str | Client | None,
        options: EngineOptions,
        *,
        on_step: StepHook | None = None,
        on_run: RunHook | None = None,
    ) -> None:
        self.options = options
        self.registry = Registry()
        self._database = Database(
            db, prefix=options.table_prefix, patience=options.postgres_timeout
        )
        observers = Observers(self._database, on_step=on_step, on_run=on_run)
        self._process = Process(self._database, temporal, self.registry, observers, options)
        self._control = RunControl(self._database, observers)
        self._definitions = Definitions(self._database, self.registry, options)
        self._history = History(self._database)
        self._waiter = RunWaiter(self._database)

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
            MigrationError: The database is newer than this code, or was changed by hand.
            PostgresUnavailableError: Postgres does not answer.
        """
        return await migrate(self._database)

    async def start(self, *, worker: bool = True) -> None:
        """Start working on runs.

        Temporal may be away: signals are stored meanwhile, and their runs start when it is back.

        Args:
            worker: False emits and starts runs, but leaves the handlers to other processes.

        Raises:
            ConfigurationError: The engine is started already.
            PostgresUnavailableError: Postgres does not answer.
            SchemaError: The tables are missing; call ``migrate``.
        """
        await self._process.start(work=worker)

    async def stop(self) -> None:
        """Take no more work; handlers that run may finish within ``shutdown_grace``.

        What does not finish goes on in another process, without costing an attempt. Calling
        it twice, or without ``start``, closes the database connections and no more.
        """
        try:
            await self._process.stop()
        finally:
            await self._waiter.close()
            await self._database.close()

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
            connection: An asyncpg connection of the caller: everything joins its transaction,
                and the runs exist, and start, when the caller commits.

        Returns:
            The stored signal. ``run_ids`` follow the age of the definitions, oldest first. With
            an ``idempotency_key`` that was used before, the first signal, ``duplicate`` set.

        Raises:
            UnknownSignalError: The type is not registered.
            SignalMismatchError: Source or resource type differs from the registration.
            PayloadError: The payload does not fit the registered schema.
            JsonValueError: The payload is no canonical JSON, or is too large.
            IdempotencyConflictError: The key was used for other content.
            EmitBusyError: Another open transaction uses the key; emit again.
            PostgresUnavailableError: Postgres does not answer; nothing is stored.
        """
        return await self._process.emitter.emit(signal, connection=connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend an asyncpg connection in a transaction that commits when the block ends well.

        Pass it to ``emit``: the signal joins the application's own writes on it, and its runs
        start right at the commit instead of at the relay's next look.
        """
        async with self._process.emitter.transaction() as connection:
            yield connection
