"""The façade: wires the rooms together and owns their lifecycle. No rules, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Self, TypeVar, Unpack

from pydantic import BaseModel, ValidationError
from temporalio.client import Client

from pulse_temporal.config import EngineOptions, EngineSettings
from pulse_temporal.errors import ConfigurationError, NotFoundError
from pulse_temporal.handlers.registry import ActionHandler, ConditionHandler, Registry
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput, WorkflowUpdate
from pulse_temporal.model.runs import (
    ExecutionLog,
    LogLevel,
    Page,
    RunFilter,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput, TriggerRegistration
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.services.control import cancel_run
from pulse_temporal.services.definitions import Definitions
from pulse_temporal.services.history import History
from pulse_temporal.services.waiting import RunWaiter
from pulse_temporal.store.connection import Connection, Pool
from pulse_temporal.store.database import Database
from pulse_temporal.store.migrate import migrate
from pulse_temporal.worker.process import Process

AnyAction = TypeVar("AnyAction", bound=ActionHandler)
AnyCondition = TypeVar("AnyCondition", bound=ConditionHandler)


def create_engine(
    db: str | Pool,
    temporal: str | Client | None = None,
    *,
    namespace: str = "default",
    table_prefix: str = "pulse_",
    queue_prefix: str = "pulse",
    concurrency: int = 100,
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
    return Engine(db, temporal, options)


class Engine:
    """Signals in, durable runs out; everything about them in Postgres.

    ``async with engine:`` starts and stops it. Definitions can be managed, and questions asked,
    without starting it; emitting works too, and the runs start when a worker is there.

    Wherever a method takes ``tenant_id``, giving it narrows the call to that tenant: another
    tenant's ids are unknown then. Leave it out only where the caller may see all tenants.
    """

    def __init__(
        self, db: str | Pool, temporal: str | Client | None, options: EngineOptions
    ) -> None:
        self.options = options
        self.registry = Registry()
        self._database = Database(
            db, prefix=options.table_prefix, patience=options.postgres_timeout
        )
        self._process = Process(self._database, temporal, self.registry, options)
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

    # Registration

    def register_trigger(
        self,
        type_: str,
        *,
        source: str,
        resource_type: str | None = None,
        payload_schema: type[BaseModel] | None = None,
    ) -> None:
        """Say what signals of a type look like; others are refused at emit.

        Args:
            type_: For example ``heartbeat.missed``.
            source: The only source accepted.
            resource_type: When given, the only resource type accepted.
            payload_schema: When given, a pydantic model that payloads must fit.

        Raises:
            DuplicateHandlerError: The type is registered with other rules.
            ConfigurationError: The type or the source cannot be used as a name.
        """
        try:
            registration = TriggerRegistration(
                source=source, resource_type=resource_type, payload_schema=payload_schema
            )
        except ValidationError as error:
            raise ConfigurationError(
                f"Signal type {type_!r} cannot be registered: {error}"
            ) from error
        self.registry.add_trigger(type_, registration)

    def register_action(
        self,
        name: str,
        handler: ActionHandler,
        *,
        replay_safe: bool = False,
        transactional: bool = False,
    ) -> None:
        """Register an action; functions that are not async run in a thread.

        The handler takes a ``WorkflowContext`` and returns a mapping, an ``ActionResult`` or
        None. It runs at least once; ``ctx.idempotency_key`` is the same every time.

        Args:
            name: What steps call it.
            handler: The function.
            replay_safe: It may run again when its signal is replayed.
            transactional: It works on ``ctx.connection``, inside the transaction that records
                the step: its effects there happen exactly once. Needs an async handler.

        Raises:
            DuplicateHandlerError: Another action has the name.
            ConfigurationError: The name or the combination cannot be used.
        """
        self.registry.add_action(
            name, handler, replay_safe=replay_safe, transactional=transactional
        )

    def register_condition(self, name: str, handler: ConditionHandler) -> None:
        """Register a condition: it takes a ``WorkflowContext`` and returns True or False.

        Raises:
            DuplicateHandlerError: Another condition has the name.
            ConfigurationError: The name cannot be used.
        """
        self.registry.add_condition(name, handler)

    def action(
        self, name: str, *, replay_safe: bool = False, transactional: bool = False
    ) -> Callable[[AnyAction], AnyAction]:
        """Register the decorated function with ``register_action``."""

        def decorate(handler: AnyAction) -> AnyAction:
            self.register_action(
                name, handler, replay_safe=replay_safe, transactional=transactional
            )
            return handler

        return decorate

    def condition(self, name: str) -> Callable[[AnyCondition], AnyCondition]:
        """Register the decorated function with ``register_condition``."""

        def decorate(handler: AnyCondition) -> AnyCondition:
            self.register_condition(name, handler)
            return handler

        return decorate

    # Lifecycle

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
        """Stop: handlers that run may finish within ``shutdown_grace``, the rest goes on elsewhere.

        Calling it twice, or without ``start``, closes the database connections and no more.
        """
        try:
            await self._process.stop()
        finally:
            await self._waiter.close()
            await self._database.close()

    # Signals

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

    # Definitions

    async def create_workflow(
        self, definition: WorkflowInput | Mapping[str, object]
    ) -> WorkflowDefinition:
        """Store a workflow definition.

        Handler names are checked against this process and the live workers; while no handler at
        all is known, they are not.

        Raises:
            DefinitionError: With every problem found, each with a JSON pointer.
        """
        return await self._definitions.create(definition)

    async def update_workflow(
        self,
        definition_id: str,
        change: WorkflowUpdate | Mapping[str, object],
        *,
        tenant_id: str | None = None,
    ) -> WorkflowDefinition:
        """Change a definition; runs that exist keep the one they started with.

        Args:
            definition_id: Which one.
            change: Only the fields to change; None clears an optional field.
            tenant_id: Narrows to one tenant.

        Raises:
            DefinitionError: With every problem found.
            NotFoundError: There is no such definition.
        """
        return await self._definitions.update(definition_id, change, tenant_id=tenant_id)

    async def get_workflow(
        self, definition_id: str, *, tenant_id: str | None = None
    ) -> WorkflowDefinition | None:
        """Give a definition, or None."""
        return await self._definitions.get(definition_id, tenant_id=tenant_id)

    async def list_workflows(
        self,
        tenant_id: str | None = None,
        *,
        trigger_type: str | None = None,
        is_enabled: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowDefinition]:
        """Give one page of definitions, newest first.

        Args:
            tenant_id: Narrows to one tenant.
            trigger_type: Narrows to one type of signal.
            is_enabled: Narrows to enabled or to disabled ones.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
        """
        return await self._definitions.list_page(
            tenant_id=tenant_id,
            trigger_type=trigger_type,
            is_enabled=is_enabled,
            limit=limit,
            cursor=cursor,
        )

    async def enable_workflow(self, definition_id: str, *, tenant_id: str | None = None) -> None:
        """Let a definition match signals.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._definitions.set_enabled(definition_id, tenant_id=tenant_id, is_enabled=True)

    async def disable_workflow(self, definition_id: str, *, tenant_id: str | None = None) -> None:
        """Let a definition match no more signals; its runs go on.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._definitions.set_enabled(definition_id, tenant_id=tenant_id, is_enabled=False)

    async def delete_workflow(self, definition_id: str, *, tenant_id: str | None = None) -> None:
        """Delete a definition; its runs stay and go on.

        Raises:
            NotFoundError: There is no such definition.
        """
        await self._definitions.delete(definition_id, tenant_id=tenant_id)

    # Runs

    async def get_run(self, run_id: str, *, tenant_id: str | None = None) -> WorkflowRun | None:
        """Give a run, or None; ``context`` is computed from the results so far."""
        return await self._history.get_run(run_id, tenant_id=tenant_id)

    async def get_run_steps(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[WorkflowStepRun]:
        """Give all step runs of a run, in document order; empty when there is no such run."""
        return await self._history.get_run_steps(run_id, tenant_id=tenant_id)

    async def get_runs_by_trigger(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> list[WorkflowRun]:
        """Give the runs that a signal started, oldest first."""
        return await self._history.all_runs(RunFilter(trigger_id=trigger_id, tenant_id=tenant_id))

    async def get_trigger(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> TriggerEnvelope | None:
        """Give a stored signal, or None."""
        return await self._history.get_trigger(trigger_id, tenant_id=tenant_id)

    async def list_runs(
        self, wanted: RunFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkflowRun]:
        """Give one page of runs, newest first; ``context`` is as of their last wait, join or end.

        Args:
            wanted: Which runs; None for all tenants' runs.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
        """
        return await self._history.list_runs(wanted or RunFilter(), limit=limit, cursor=cursor)

    async def get_run_timeline(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[RunTimelineEntry]:
        """Tell what happened to a run, in order; empty when there is no such run."""
        return await self._history.get_run_timeline(run_id, tenant_id=tenant_id)

    async def get_run_logs(
        self,
        run_id: str,
        *,
        tenant_id: str | None = None,
        levels: Collection[LogLevel] | None = None,
    ) -> list[ExecutionLog]:
        """Give the lines that handlers wrote with ``ctx.log``, in order.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
            levels: Narrows to these levels.
        """
        return await self._history.get_run_logs(run_id, tenant_id=tenant_id, levels=levels)

    async def cancel_run(
        self, run_id: str, reason: str | None = None, *, tenant_id: str | None = None
    ) -> WorkflowRun:
        """Cancel a run, for good, also while Temporal is away.

        When this returns no step is claimed any more and no transactional action commits. A
        handler that runs is told; what it has done outside of Postgres stays done.

        Raises:
            NotFoundError: There is no such run.
            RunTransitionError: The run is over.
        """
        return await cancel_run(self._database, run_id, tenant_id=tenant_id, reason=reason)

    async def wait_for_run(
        self,
        run_id: str,
        timeout: float = 30.0,
        *,
        tenant_id: str | None = None,
    ) -> WorkflowRun:
        """Wait until a run is over.

        Args:
            run_id: May still be uncommitted: an unknown id is waited for.
            timeout: Seconds.
            tenant_id: Narrows to one tenant.

        Raises:
            TimeoutError: The run is not over in time.
            NotFoundError: The run belongs to another tenant.
        """
        await self._waiter.wait(run_id, seconds=timeout)
        run = await self.get_run(run_id, tenant_id=tenant_id)
        if run is None:
            raise NotFoundError(f"There is no run {run_id}.")
        return run
