"""The engine for code that is not async: Django, Flask, scripts, the Python prompt."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from pulse_temporal.engine.methods import AwaitableMethods
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.errors import ConfigurationError, PulseError
from pulse_temporal.handlers.threads import LoopThread, refuse_event_loop, run_on_loop
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.store.joining import from_sql
from pulse_temporal.worker.process import Process

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

INSTEAD = "Await the engine's own method instead of the one of engine.blocking."


def _twin(
    method: Callable[Concatenate[AwaitableMethods, Given], Awaitable[Answer]],
) -> Callable[Concatenate[BlockingEngine, Given], Answer]:
    """Give the blocking form of an engine's method: same parameters, same docstring."""

    @wraps(method)
    def call(blocking: BlockingEngine, *arguments: Given.args, **options: Given.kwargs) -> Answer:
        return blocking.call(lambda: method(blocking.engine, *arguments, **options))

    return call


class BlockingEngine:
    """An engine whose methods wait for their result instead of being awaited.

    ```python
    engine = create_engine(dsn)

    with engine.blocking as pulse:      # start ... stop
        pulse.emit({"tenantId": "acme", "source": "shop", "type": "order.paid"})
    ```

    The methods are those of the engine, with the same parameters and errors, and may be called
    from many threads at once. They run in a background thread that begins with the first call
    and ends with ``stop``; so ``pulse.migrate()`` or ``pulse.create_workflow(...)`` need no
    ``start``. Where the engine was started in an event loop (``async with engine:`` in an async
    web server), they run there: this is then the way to use it from that server's threads.

    Only for async code: ``transaction``, and emits on a connection of the caller. Code with
    another driver's transaction emits in it with SQL: ``SELECT pulse_emit(...)``.

    Do not start it before a fork: web servers that fork start it in each worker process. An
    engine that was given the application's pool serves threads while it is started in the
    event loop of that pool.

    Attributes:
        engine: The engine itself; register handlers there.
    """

    def __init__(self, engine: AwaitableMethods, process: Process) -> None:
        self.engine = engine
        self._process = process
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start the engine."""
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the engine."""
        self.stop()

    migrate = _twin(AwaitableMethods.migrate)

    reconcile = _twin(AwaitableMethods.reconcile)
    check_health = _twin(AwaitableMethods.check_health)

    create_workflow = _twin(AwaitableMethods.create_workflow)
    put_workflow = _twin(AwaitableMethods.put_workflow)
    validate_workflow = _twin(AwaitableMethods.validate_workflow)
    update_workflow = _twin(AwaitableMethods.update_workflow)
    get_workflow = _twin(AwaitableMethods.get_workflow)
    list_workflows = _twin(AwaitableMethods.list_workflows)
    enable_workflow = _twin(AwaitableMethods.enable_workflow)
    disable_workflow = _twin(AwaitableMethods.disable_workflow)
    delete_workflow = _twin(AwaitableMethods.delete_workflow)
    next_runs = _twin(AwaitableMethods.next_runs)

    get_run = _twin(AwaitableMethods.get_run)
    get_run_steps = _twin(AwaitableMethods.get_run_steps)
    get_step_attempts = _twin(AwaitableMethods.get_step_attempts)
    get_runs_by_trigger = _twin(AwaitableMethods.get_runs_by_trigger)
    get_trigger = _twin(AwaitableMethods.get_trigger)
    list_runs = _twin(AwaitableMethods.list_runs)
    get_run_timeline = _twin(AwaitableMethods.get_run_timeline)
    get_run_logs = _twin(AwaitableMethods.get_run_logs)
    get_failed_runs = _twin(AwaitableMethods.get_failed_runs)
    cancel_run = _twin(AwaitableMethods.cancel_run)
    retry_run = _twin(AwaitableMethods.retry_run)
    replay = _twin(AwaitableMethods.replay)
    wait_for_run = _twin(AwaitableMethods.wait_for_run)

    def emit(
        self, signal: TriggerInput | Mapping[str, object], *, connection: None = None
    ) -> TriggerEnvelope:
        """Store a signal and plan its runs, as ``Engine.emit`` in a transaction of its own.

        Args:
            signal: What happened.
            connection: None. What is on a connection of your own emits with SQL, in your
                transaction: ``SELECT pulse_emit(...)``.

        Raises:
            ConfigurationError: A connection was given.
        """
        self._refuse(connection)
        return self.call(lambda: self.engine.emit(signal))

    def emit_many(
        self,
        signals: Sequence[TriggerInput | Mapping[str, object]],
        *,
        connection: None = None,
    ) -> list[TriggerEnvelope]:
        """Store many signals at once, as ``Engine.emit_many`` in a transaction of its own.

        Args:
            signals: As of ``Engine.emit_many``.
            connection: As of ``emit``.

        Raises:
            ConfigurationError: A connection was given.
        """
        self._refuse(connection)
        return self.call(lambda: self.engine.emit_many(signals))

    def for_tenant(self, tenant_id: str) -> BlockingTenant:
        """Return a view that cannot leave its tenant, as ``Engine.for_tenant``."""
        return BlockingTenant(self, TenantEngine(self.engine, tenant_id))

    def start(self, *, worker: bool = True) -> None:
        """Start working on runs, as ``Engine.start``; what forgets to stop, stops at exit."""
        self.call(lambda: self.engine.start(worker=worker))
        atexit.register(self._stop_at_exit)

    def stop(self) -> None:
        """Stop the engine as ``Engine.stop`` does, and end the background thread."""
        atexit.unregister(self._stop_at_exit)
        self.call(self.engine.stop)
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def call(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run async code in the engine's event loop and wait for what it gives.

        For what has no method here, such as a function of the application that uses the engine.

        Raises:
            ConfigurationError: An event loop runs in this thread, or the process was forked.
        """
        refuse_event_loop(instead=INSTEAD)
        return run_on_loop(self._loop(), work, instead=INSTEAD)

    def _refuse(self, connection: object) -> None:
        if connection is not None:
            way = from_sql(prefix=self.engine.options.table_prefix)
            raise ConfigurationError(
                "engine.blocking emits in a transaction of its own, and takes no connection. "
                f"Pass {way}."
            )

    def _stop_at_exit(self) -> None:
        """Stop before Python does: a worker that is cut off there may hang the process."""
        with contextlib.suppress(PulseError, RuntimeError):
            self.stop()

    def _loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop that the engine runs in, else that of the background thread."""
        with self._lock:
            if self._thread is not None and not self._thread.is_alive:
                raise ConfigurationError(
                    "engine.blocking was used before this process was forked. Use it for the "
                    "first time after the fork, in each process."
                )
            running = self._process.loop
            if running is not None:
                return running
            if self._thread is None:
                self._thread = LoopThread()
            return self._thread.loop


def _tenant_twin(
    method: Callable[Concatenate[TenantEngine, Given], Awaitable[Answer]],
) -> Callable[Concatenate[BlockingTenant, Given], Answer]:
    """Return the blocking form of a tenant's method: same parameters, same docstring."""

    @wraps(method)
    def call(view: BlockingTenant, *arguments: Given.args, **options: Given.kwargs) -> Answer:
        return view.blocking.call(lambda: method(view.tenant, *arguments, **options))

    return call


class BlockingTenant:
    """The engine of one tenant, for code that is not async; see ``Engine.for_tenant``."""

    def __init__(self, blocking: BlockingEngine, tenant: TenantEngine) -> None:
        self.blocking = blocking
        self.tenant = tenant

    create_workflow = _tenant_twin(TenantEngine.create_workflow)
    put_workflow = _tenant_twin(TenantEngine.put_workflow)
    validate_workflow = _tenant_twin(TenantEngine.validate_workflow)
    update_workflow = _tenant_twin(TenantEngine.update_workflow)
    get_workflow = _tenant_twin(TenantEngine.get_workflow)
    list_workflows = _tenant_twin(TenantEngine.list_workflows)
    enable_workflow = _tenant_twin(TenantEngine.enable_workflow)
    disable_workflow = _tenant_twin(TenantEngine.disable_workflow)
    delete_workflow = _tenant_twin(TenantEngine.delete_workflow)
    next_runs = _tenant_twin(TenantEngine.next_runs)

    get_run = _tenant_twin(TenantEngine.get_run)
    get_run_steps = _tenant_twin(TenantEngine.get_run_steps)
    get_step_attempts = _tenant_twin(TenantEngine.get_step_attempts)
    get_runs_by_trigger = _tenant_twin(TenantEngine.get_runs_by_trigger)
    get_trigger = _tenant_twin(TenantEngine.get_trigger)
    list_runs = _tenant_twin(TenantEngine.list_runs)
    get_run_timeline = _tenant_twin(TenantEngine.get_run_timeline)
    get_run_logs = _tenant_twin(TenantEngine.get_run_logs)
    get_failed_runs = _tenant_twin(TenantEngine.get_failed_runs)
    cancel_run = _tenant_twin(TenantEngine.cancel_run)
    retry_run = _tenant_twin(TenantEngine.retry_run)
    replay = _tenant_twin(TenantEngine.replay)
    wait_for_run = _tenant_twin(TenantEngine.wait_for_run)

    def emit(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        """Store a signal of this tenant, in a transaction of its own."""
        return self.blocking.call(lambda: self.tenant.emit(signal))

    def emit_many(
        self, signals: Sequence[TriggerInput | Mapping[str, object]]
    ) -> list[TriggerEnvelope]:
        """Store many signals of this tenant at once, in a transaction of its own."""
        return self.blocking.call(lambda: self.tenant.emit_many(signals))
