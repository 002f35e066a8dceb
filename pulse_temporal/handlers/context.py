"""The context of a handler, and what controls it from outside."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import CoroutineType
from typing import TYPE_CHECKING, TypeAlias

from pulse_temporal.clock import Clock
from pulse_temporal.errors import ConfigurationError, EmitNotAwaitedError
from pulse_temporal.handlers.threads import run_on_loop, running_loop
from pulse_temporal.model.canonical import scrub_object, scrub_text
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.plain import spell
from pulse_temporal.model.runs import LogLevel, WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.values import JsonObject

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

    HandlerConnection: TypeAlias = Connection[Record] | PoolConnectionProxy[Record]

Emit: TypeAlias = Callable[[TriggerInput | Mapping[str, object]], Awaitable[TriggerEnvelope]]
"""Emits a signal on behalf of the running step."""

MESSAGE_BYTES = 8 * 1024
LEVELS: Mapping[object, LogLevel] = {
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}
"""Levels by their names in lower case; any other, such as ``debug``, becomes ``info``."""


@dataclass(slots=True)
class LogBook:
    """Collects the lines of one attempt, up to a limit; safe to use from any thread.

    Attributes:
        limit: Lines that are kept; one more says how many were dropped.
        data_bytes: Bound of a line's ``data`` in UTF-8; longer data is cut.
        dropped: Lines beyond the limit, so far.
    """

    clock: Clock
    limit: int
    data_bytes: int
    dropped: int = 0
    _lines: list[LogLine] = field(default_factory=list[LogLine])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, level: object, message: object, data: object) -> None:
        """Add a line; repair what Postgres could not store, as a log call must never fail."""
        line = LogLine(
            id=new_id("log"),
            level=LEVELS.get(spell(level).lower(), "info"),
            message=scrub_text(message, max_bytes=MESSAGE_BYTES),
            data=None if data is None else scrub_object(data, max_bytes=self.data_bytes),
            at=self.clock(),
        )
        with self._lock:
            if len(self._lines) < self.limit:
                self._lines.append(line)
            else:
                self.dropped += 1

    def lines(self) -> list[LogLine]:
        """Return the lines so far, in order; the last one tells of dropped lines, if any."""
        with self._lock:
            found = list(self._lines)
            dropped = self.dropped
        if dropped:
            text = f"{dropped} more lines were dropped; the limit is {self.limit}."
            found.append(LogLine(new_id("log"), "warn", text, None, self.clock()))
        return found


def _none() -> list[CoroutineType[object, object, TriggerEnvelope]]:
    """Return an empty list; ``list[CoroutineType[...]]`` cannot be called in Python 3.11."""
    return []


@dataclass(slots=True)
class ContextControl:
    """Pulse's side of a handler's context, which the handler does not see.

    Attributes:
        emit: Emits a signal for the step.
        connection: Of a transactional action; None for others.
        is_taken_back: The attempt is over, and the connection must not be used any more.
        canceled: Set when the handler's result is not wanted any more.
        emits: The emits that the handler has begun.
    """

    emit: Emit
    connection: HandlerConnection | None = None
    is_taken_back: bool = False
    canceled: threading.Event = field(default_factory=threading.Event)
    emits: list[CoroutineType[object, object, TriggerEnvelope]] = field(default_factory=_none)

    def cancel(self) -> None:
        """Set ``ctx.canceled``, by which the handler knows that its result is not wanted."""
        self.canceled.set()

    def lend(self, connection: HandlerConnection) -> None:
        """Set ``ctx.connection`` to the connection of the handler's transaction."""
        self.connection = connection

    def take_back(self) -> None:
        """Make ``ctx.connection`` raise for a handler that goes on after its attempt."""
        self.is_taken_back = True

    def check_emits(self) -> None:
        """Check that all emits have ended when the handler has.

        Raises:
            EmitNotAwaitedError: One was never awaited, or is still at work.
        """
        states = [inspect.getcoroutinestate(emitting) for emitting in self.emits]
        if inspect.CORO_CREATED in states:
            raise EmitNotAwaitedError(
                "The handler called ctx.emit(...) without awaiting it, so nothing was emitted. "
                "Async handlers write: await ctx.emit(...); others: ctx.emit_blocking(...)."
            )
        if any(state != inspect.CORO_CLOSED for state in states):
            raise EmitNotAwaitedError(
                "The handler returned before a ctx.emit(...) that it had begun was over. Await "
                "the tasks that emit before returning."
            )

    def drop_emits(self) -> None:
        """Close the emits that were never awaited, or Python warns of each; then forget all."""
        while self.emits:
            emitting = self.emits.pop()
            if inspect.getcoroutinestate(emitting) == inspect.CORO_CREATED:
                emitting.close()


@dataclass(frozen=True, slots=True)
class LentRun:
    """The run of a handler's step, which is built when the handler first looks at it.

    Attributes:
        is_replay: Whether the run is a replay.
        read: Returns the run, in a copy that the handler may change.
    """

    is_replay: bool
    read: Callable[[], WorkflowRun]


class WorkflowContext:
    """The argument of every action and condition.

    Attributes:
        tenant_id: Tenant of the run.
        trigger: The signal that started the run.
        step: The step run; ``step.attempt`` counts from 1.
        config: The definition's config, with the step's own merged over it.
        is_replay: The run is a replay.
    """

    __slots__ = (
        "_book",
        "_control",
        "_loop",
        "_read_run",
        "_run",
        "config",
        "is_replay",
        "step",
        "tenant_id",
        "trigger",
    )

    def __init__(
        self,
        *,
        run: LentRun,
        step: WorkflowStepRun,
        trigger: TriggerEnvelope,
        config: JsonObject,
        book: LogBook,
        control: ContextControl,
    ) -> None:
        self.tenant_id: str = step.tenant_id
        self.step: WorkflowStepRun = step
        self.trigger: TriggerEnvelope = trigger
        self.config: JsonObject = config
        self.is_replay: bool = run.is_replay
        self._run: WorkflowRun | None = None
        self._read_run = run.read
        self._book = book
        self._control = control
        self._loop = running_loop()

    @property
    def run(self) -> WorkflowRun:
        """The run; ``run.context`` has the results of the actions before this step."""
        # Built here and not with the context: a private copy of all results is expensive, and
        # most handlers never look at it.
        if self._run is None:
            self._run = self._read_run()
        return self._run

    @property
    def idempotency_key(self) -> str:
        """A text that is the same for every attempt, retry and redelivery of this step.

        Pass it to services that drop duplicates, as actions run at least once.
        """
        return f"{self.step.run_id}:{self.step.path}"

    @property
    def connection(self) -> HandlerConnection:
        """Connection of a transactional action; what it writes commits with the step's record.

        Raises:
            ConfigurationError: The action is not registered with ``transactional=True``, or its
                attempt is over.
        """
        if self._control.is_taken_back:
            raise ConfigurationError(
                f"The attempt of step {self.step.step_name!r} is over, and so is its transaction."
            )
        if self._control.connection is None:
            raise ConfigurationError(
                f"Step {self.step.step_name!r} has no connection: register its action with "
                "transactional=True."
            )
        return self._control.connection

    @property
    def canceled(self) -> bool:
        """Whether a sync handler should return: its run is canceled, or its time is over."""
        return self._control.canceled.is_set()

    def emit(
        self, signal: TriggerInput | Mapping[str, object]
    ) -> Coroutine[object, object, TriggerEnvelope]:
        """Emit a signal that this step causes; once, however often the step is repeated.

        A repetition is recognised by the signal's ``idempotency_key``, which counts as with
        ``engine.emit``; without one, by its content. Content that differs in each attempt makes
        another signal each time.

        Await it before the handler returns; otherwise the attempt fails.

        Args:
            signal: As for ``engine.emit``; without ``tenant_id`` it has the run's tenant.

        Raises:
            SignalError: The signal is refused, or names another tenant.
            IdempotencyConflictError: Its ``idempotency_key`` was used for other content.
        """
        # Not an async method: the coroutine is noted before anybody awaits it, so that a
        # forgotten `await` is found (see ContextControl.check_emits).
        emitting = self._emitting(signal)
        self._control.emits.append(emitting)
        return emitting

    def emit_blocking(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        """Emit as ``emit`` does, from a handler that is not async and from any of its threads.

        Raises:
            ConfigurationError: The handler is async; it must await ``emit``.
            SignalError: The signal is refused, or names another tenant.
        """
        if self._loop is None:
            raise ConfigurationError("This context was made outside of an event loop.")
        return run_on_loop(
            self._loop,
            lambda: self._control.emit(signal),
            instead="Async handlers write: await ctx.emit(...).",
        )

    def log(
        self,
        message: str,
        data: Mapping[str, object] | None = None,
        level: LogLevel = "info",
    ) -> None:
        """Write a line into the run's log; it is stored when the attempt ends.

        Args:
            message: Text, cut at 8 KiB.
            data: Facts, cut at the engine's ``limits.log_data_bytes``.
            level: ``info``, ``warn`` or ``error``. ``warning`` means ``warn``, ``critical`` and
                ``fatal`` mean ``error``; any other level becomes ``info``.
        """
        self._book.write(level, message, data)

    async def _emitting(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        return await self._control.emit(signal)
