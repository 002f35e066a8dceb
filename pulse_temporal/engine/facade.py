"""Make an engine, start it, emit with it, stop it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from temporalio.client import Client

from pulse_temporal.config import EngineOptions, EngineSettings, GivenSettings
from pulse_temporal.engine.blocking import BlockingEngine
from pulse_temporal.engine.bulk import BulkMethods
from pulse_temporal.engine.cataloguing import Cataloguing
from pulse_temporal.engine.definitions import EngineDefinitions
from pulse_temporal.engine.flat import FlatMethods
from pulse_temporal.engine.guarding import Guarding, Recognising
from pulse_temporal.engine.lifecycle import Lifecycle, Upkeep
from pulse_temporal.engine.operations import Awaited
from pulse_temporal.engine.operators import Operators
from pulse_temporal.engine.registration import Registration
from pulse_temporal.engine.runs import EngineRuns
from pulse_temporal.engine.scope import ALL_TENANTS
from pulse_temporal.engine.searching import Searching
from pulse_temporal.engine.settings import options_by_name, options_from_environment
from pulse_temporal.engine.signals import EngineSignals
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.engine.visiting import Visiting
from pulse_temporal.engine.wiring import wire
from pulse_temporal.errors import ConfigurationError
from pulse_temporal.handlers.hooks import RunHook, StepHook
from pulse_temporal.handlers.middleware import Middleware
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.postgres.connection import Pool


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
    handler_middleware: Sequence[Middleware] = (),
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
        handler_middleware: Async functions ``(ctx, call_next)`` that run round every call of a
            handler, the first one outermost; docs/how-to/middleware.md says how.
            ``Engine.add_middleware`` adds more.
        settings: Any other field of ``EngineOptions``.

    Raises:
        ConfigurationError: An option is outside its bounds, or a middleware cannot work.
    """
    options = options_by_name(
        {
            "namespace": namespace,
            "table_prefix": table_prefix,
            "queue_prefix": queue_prefix,
            "concurrency": concurrency,
            **settings,
        }
    )
    return Engine(
        db,
        temporal,
        options,
        on_step=on_step_complete,
        on_run=on_run_complete,
        middleware=handler_middleware,
    )


def engine_from_environment(
    db: str | Pool | None = None,
    temporal: str | Client | None = None,
    *,
    on_step_complete: StepHook | None = None,
    on_run_complete: RunHook | None = None,
    handler_middleware: Sequence[Middleware] = (),
    **settings: Unpack[GivenSettings],
) -> Engine:
    """Make an engine from environment variables, for worker processes.

    ``PULSE_<OPTION>`` sets any field of ``EngineOptions``; Temporal's address and credentials come
    from ``TEMPORAL_*`` or ``temporal.toml``. What is given here wins over the environment.

    Args:
        db: As of ``create_engine``; None for the DSN in ``DATABASE_URL``, which is required then.
        temporal: As of ``create_engine``.
        on_step_complete: As of ``create_engine``.
        on_run_complete: As of ``create_engine``.
        handler_middleware: As of ``create_engine``.
        settings: Any field of ``EngineOptions``.

    Raises:
        ConfigurationError: A variable is missing, or a setting is wrong.
    """
    options, database_url = options_from_environment(settings)
    if db is None and not database_url:
        raise ConfigurationError(
            "DATABASE_URL is not set; it names the Postgres database. Set it, or give db=."
        )
    return Engine(
        database_url if db is None else db,
        temporal,
        options,
        on_step=on_step_complete,
        on_run=on_run_complete,
        middleware=handler_middleware,
    )


class Engine(
    Registration,
    FlatMethods,
    Searching,
    Guarding,
    BulkMethods,
    Cataloguing,
    Recognising,
    Visiting,
    Operators,
    Upkeep,
    Lifecycle,
    Awaited,
):
    """Signals in, durable runs out; everything about them in Postgres.

    ``async with engine:`` starts and stops it. Definitions can be managed, and questions asked,
    without starting it; emitting works too, and the runs start when a worker is there.

    Wherever a method takes ``tenant_id``, giving it narrows the call to that tenant: another
    tenant's ids are unknown then. Leave it out only where the caller may see all tenants.

    Attributes:
        options: What was given to ``create_engine``, and the defaults.
        runs: Read runs, wait for them, cancel and retry them.
        definitions: Create, read, change and delete definitions.
        signals: Emit signals, read them, run them again.
        blocking: The same engine for code that is not async: ``with engine.blocking as pulse:``
            starts and stops it.
    """

    def __init__(
        self,
        db: str | Pool,
        temporal: str | Client | None,
        options: EngineOptions,
        *,
        on_step: StepHook | None = None,
        on_run: RunHook | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        registry = Registry(middleware)
        parts = wire(db, temporal, options, registry=registry, on_step=on_step, on_run=on_run)
        super().__init__(parts, ALL_TENANTS)
        self.options = options
        self.registry = registry
        self.runs: EngineRuns = self._runs
        self.definitions: EngineDefinitions = self._definitions
        self.signals: EngineSignals = self._signals
        self.blocking: BlockingEngine = BlockingEngine(self, parts)

    def for_tenant(self, tenant_id: str) -> TenantEngine:
        """Return a view of this engine that cannot leave its tenant.

        For code that serves a customer's request: it asks for that tenant alone, and a call that
        names another tenant is refused.

        Raises:
            InvalidInputError: It cannot be a tenant's id: 1 to 200 characters, no control
                characters.
        """
        return TenantEngine(self._parts, tenant_id)
