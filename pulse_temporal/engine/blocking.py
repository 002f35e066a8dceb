"""The engine for code that is not async: Django, Flask, scripts, the Python prompt."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Awaitable, Callable
from functools import cache
from types import TracebackType
from typing import Self, TypeVar

from pulse_temporal.engine.bulk import BulkMethods
from pulse_temporal.engine.cataloguing import Cataloguing
from pulse_temporal.engine.definitions import BlockingDefinitions
from pulse_temporal.engine.flat import FlatMethods
from pulse_temporal.engine.guarding import Guarding, Recognising
from pulse_temporal.engine.lifecycle import Lifecycle, Upkeep
from pulse_temporal.engine.operations import Blocking
from pulse_temporal.engine.operators import Operators
from pulse_temporal.engine.runs import BlockingRuns
from pulse_temporal.engine.scope import ALL_TENANTS, scope_of
from pulse_temporal.engine.searching import Searching
from pulse_temporal.engine.signals import BlockingSignals
from pulse_temporal.engine.visiting import Visiting
from pulse_temporal.engine.wiring import Parts
from pulse_temporal.errors import PulseError

Answer = TypeVar("Answer")


_TO_STOP: set[BlockingEngine] = set()
"""Engines that are started, and were not stopped yet."""


def _stop_at_exit(engine: BlockingEngine) -> None:
    """Have an engine stopped when the program ends, if nobody has stopped it before.

    Python ends all threads of ``concurrent.futures`` before it calls what ``atexit`` has. The
    SDK's worker needs them to end: one that is at work would hold up the program until it is
    given up (tests/acceptance/test_blocking.py). So this has to come before them, for which
    Python's own modules use this function; without it, ``atexit`` has to do.
    """
    _register_once()
    _TO_STOP.add(engine)


@cache
def _register_once() -> None:
    register = getattr(threading, "_register_atexit", atexit.register)
    register(_stop_all)


def _stop_all() -> None:
    for engine in tuple(_TO_STOP):
        with contextlib.suppress(PulseError, RuntimeError):
            engine.stop()


class BlockingEngine(
    FlatMethods,
    Searching,
    Guarding,
    BulkMethods,
    Cataloguing,
    Recognising,
    Visiting,
    Operators,
    Upkeep,
    Blocking,
):
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
        runs: ``engine.runs``, with methods that wait.
        definitions: ``engine.definitions``, with methods that wait.
        signals: ``engine.signals``, with methods that wait.
    """

    def __init__(self, engine: Lifecycle, parts: Parts) -> None:
        super().__init__(parts, ALL_TENANTS)
        self.engine = engine
        self.runs: BlockingRuns = BlockingRuns(parts, ALL_TENANTS)
        self.definitions: BlockingDefinitions = BlockingDefinitions(parts, ALL_TENANTS)
        self.signals: BlockingSignals = BlockingSignals(parts, ALL_TENANTS)

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

    def for_tenant(self, tenant_id: str) -> BlockingTenant:
        """Return a view that cannot leave its tenant, as ``Engine.for_tenant``."""
        return BlockingTenant(self._parts, tenant_id)

    def start(self, *, worker: bool = True) -> None:
        """Start working on runs, as ``Engine.start``; what forgets to stop, stops at exit."""
        self.call(lambda: self.engine.start(worker=worker))
        _stop_at_exit(self)

    def stop(self) -> None:
        """Stop the engine as ``Engine.stop`` does, and end the background thread."""
        _TO_STOP.discard(self)
        self.call(self.engine.stop)
        self._parts.home.close()

    def call(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run async code in the engine's event loop and wait for what it gives.

        For what has no method here, such as a function of the application that uses the engine.

        Raises:
            ConfigurationError: An event loop runs in this thread, or the process was forked.
        """
        return self._parts.home.call(work)


class BlockingTenant(FlatMethods, Searching, Guarding, BulkMethods, Cataloguing, Blocking):
    """The engine of one tenant, for code that is not async; see ``Engine.for_tenant``.

    Attributes:
        tenant_id: Whose it is.
        runs: As of ``engine.blocking``.
        definitions: As of ``engine.blocking``.
        signals: As of ``engine.blocking``.
    """

    def __init__(self, parts: Parts, tenant_id: str) -> None:
        scope = scope_of(tenant_id)
        super().__init__(parts, scope)
        self.tenant_id = tenant_id
        self.runs: BlockingRuns = BlockingRuns(parts, scope)
        self.definitions: BlockingDefinitions = BlockingDefinitions(parts, scope)
        self.signals: BlockingSignals = BlockingSignals(parts, scope)
