"""A throwaway engine whose days pass in milliseconds."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self, Unpack

from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal.config import EngineSettings
from pulse_temporal.embedded import embedded_postgres, embedded_test_server, scratch_database
from pulse_temporal.engine.facade import Engine, create_engine
from pulse_temporal.errors import NotFoundError
from pulse_temporal.handlers.middleware import Middleware
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput
from pulse_temporal.model.runs import ActionResult, RunFilter, WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.temporal.client import connect
from pulse_temporal.testing.clock import TemporalClock
from pulse_temporal.testing.pauses import sleeping_steps
from pulse_temporal.testing.results import RunResult
from pulse_temporal.testing.scripts import Gate, ScriptedAction, ScriptedCondition
from pulse_temporal.testing.signals import matching_signal, mismatch, owned

POLL = timedelta(milliseconds=5)
TICK = timedelta(milliseconds=1)
MANY = 500
OPEN = RunFilter(status=["pending", "running", "waiting"])
BLOCKED = timedelta(milliseconds=100)
"""A handler that is unknown in the only process will not come; it fails the step."""


class PulseTestEnvironment:
    """An engine on a database and a Temporal server of its own, and a clock that you move.

    Time stands for nobody, but it jumps: ``run``, ``finish`` and ``advance`` let all work that
    can be done be done, and then move Temporal's clock right to the next end of a delay or of
    a pause between two attempts. Handlers take real time. Postgres keeps real time too: of the
    moments in a run only those of delays (``scheduled_for``, and the delay's ``started_at`` and
    ``completed_at``) are on the moved clock. Crons do not tick here; emit their signal.

    Signals of types that nobody registered are accepted here; registered ones are checked.

    Attributes:
        engine: The engine, started; everything it can do works.
        dsn: Its database, for questions in SQL.
        patience: Longest real time that one call waits for work to be done.
    """

    def __init__(
        self, engine: Engine, clock: TemporalClock, *, dsn: str, patience: timedelta
    ) -> None:
        self.engine = engine
        self.dsn = dsn
        self.patience = patience
        self._clock = clock
        self._attempts_due: dict[tuple[str, int, int], datetime] = {}

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        postgres: str | None = None,
        patience: timedelta = timedelta(seconds=10),
        handler_middleware: Sequence[Middleware] = (),
        **settings: Unpack[EngineSettings],
    ) -> AsyncGenerator[Self]:
        """Start the servers and an engine for the length of the block; takes 1 to 2 seconds.

        Args:
            postgres: DSN of a Postgres 15 or newer in which a database is made for this
                environment and dropped after it; without it a Postgres is started too.
            patience: Longest real time that one call waits for work to be done.
            handler_middleware: As of ``create_engine``.
            settings: Fields of ``EngineOptions``.

        Raises:
            EmbeddedServiceError: A server's program is missing or does not start.
        """
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(_scratch_folder()))
            if postgres is None:
                server = await stack.enter_async_context(
                    embedded_postgres(folder / "postgres", durable=False)
                )
                postgres = server.dsn
            dsn = await stack.enter_async_context(scratch_database(postgres))
            address = await stack.enter_async_context(embedded_test_server(folder / "temporal"))
            client = await connect(address, namespace="default")
            chosen: EngineSettings = {
                "unregistered_signals": "accept",
                "blocked_step_timeout": BLOCKED,
                "shutdown_grace": timedelta(seconds=1),
                **settings,
            }
            engine = create_engine(dsn, client, handler_middleware=handler_middleware, **chosen)
            stack.push_async_callback(engine.stop)
            await engine.migrate()
            await engine.start()
            yield cls(engine, TemporalClock(client), dsn=dsn, patience=patience)

    def use(self, register: Callable[[Engine], object]) -> None:
        """Register real handlers and signals: ``register`` is the application's function."""
        register(self.engine)

    def script_action(
        self,
        name: str,
        *,
        returns: ActionResult | Mapping[str, object] | None = None,
        fails: int | None = None,
        raises: Exception | None = None,
    ) -> ScriptedAction:
        """Register an action that only does what is said here; it replaces a real one.

        Args:
            name: What steps call it.
            returns: What a call that succeeds returns.
            fails: So many calls fail first. None: with ``raises`` all of them, else none.
            raises: What failing calls raise; by default a ``RuntimeError``.
        """
        script = ScriptedAction(name=name, fails=fails, raises=raises, returns=returns)
        self._replace_action(script)
        return script

    def script_gate(
        self, name: str, *, returns: ActionResult | Mapping[str, object] | None = None
    ) -> Gate:
        """Register an action that waits until the test opens it; it replaces a real one.

        Emit the signal and wait for ``gate.reached()``; the run then stands in this step. After
        ``gate.open()``, ``finish`` takes it to its end. ``run`` and ``settle`` wait for a closed
        gate as for any handler that works.

        Args:
            name: What steps call it.
            returns: What a call returns once the gate is open.
        """
        gate = Gate(name=name, returns=returns)
        self._replace_action(gate)
        return gate

    def script_condition(
        self,
        name: str,
        *,
        returns: bool | Sequence[bool] = True,
        fails: int | None = None,
        raises: Exception | None = None,
    ) -> ScriptedCondition:
        """Register a condition that only does what is said here; it replaces a real one.

        Args:
            name: What steps call it.
            returns: Its answer; or one answer a call, the last one for all that follow.
            fails: As for ``script_action``.
            raises: As for ``script_action``.
        """
        script = ScriptedCondition(name=name, fails=fails, raises=raises, returns=returns)
        self.engine.registry.conditions.pop(name, None)
        self.engine.register_condition(name, script)
        return script

    async def define(self, definition: WorkflowInput | Mapping[str, object]) -> WorkflowDefinition:
        """Store a definition; ``tenantId`` may be left out.

        Raises:
            DefinitionError: With every problem found; handlers must be registered or scripted.
        """
        if not isinstance(definition, WorkflowInput):
            definition = owned(definition)
        return await self.engine.create_workflow(definition)

    async def run(
        self,
        definition: WorkflowDefinition | WorkflowInput | Mapping[str, object],
        signal: TriggerInput | Mapping[str, object] | None = None,
    ) -> RunResult:
        """Run a definition for a signal, to its end, and tell all about the run.

        Args:
            definition: One from ``define``; another one is stored for this run only.
            signal: May leave out all that follows from the definition; often only
                ``{"payload": ...}`` is left.

        Raises:
            AssertionError: The signal does not match the definition; the message says why.
            DefinitionError: The definition is refused.
            SignalError: The signal is refused.
            TimeoutError: The run was not over within ``patience``; says what it was doing.
        """
        if isinstance(definition, WorkflowDefinition):
            return await self._run(definition, signal)
        defined = await self.define(definition)
        try:
            return await self._run(defined, signal)
        finally:
            await self.engine.delete_workflow(defined.id)

    async def finish(self, run_id: str) -> RunResult:
        """Let time pass until a run is over, and tell all about it.

        Raises:
            TimeoutError: It was not over within ``patience``; says what it was doing.
        """
        async with self._bounded():
            while not await self._is_over(run_id):
                due = await self._next_due()
                await self._jump(due)
        return await self.result(run_id)

    async def result(self, run_id: str) -> RunResult:
        """Tell all about a run as it stands now.

        Raises:
            NotFoundError: There is no such run.
        """
        run = await self.engine.get_run(run_id)
        if run is None:
            raise NotFoundError(f"There is no run {run_id}.")
        return RunResult(
            run=run,
            steps=await self.engine.get_run_steps(run_id),
            timeline=await self.engine.get_run_timeline(run_id),
            logs=await self.engine.get_run_logs(run_id),
            attempts=await self.engine.get_step_attempts(run_id),
        )

    async def now(self) -> datetime:
        """Return the time of Temporal's clock, UTC."""
        return await self._clock.now()

    async def settle(self) -> None:
        """Wait until every run is over or waits for time to pass; moves no clock.

        Raises:
            TimeoutError: Something still worked after ``patience``; says what.
        """
        async with self._bounded():
            await self._next_due()

    async def advance(self, by: timedelta) -> None:
        """Let time pass, with all that happens meanwhile; ends settled.

        Raises:
            TimeoutError: Something still worked after ``patience``; says what.
        """
        async with self._bounded():
            await self._next_due()
            target = await self._clock.now() + by
            while True:
                due = await self._next_due()
                if due is None or due > target:
                    break
                await self._jump(due)
            await self._jump(target)
            await self._next_due()

    def _replace_action(self, script: ScriptedAction) -> None:
        replaced = self.engine.registry.actions.pop(script.name, None)
        replay_safe = replaced is not None and replaced.replay_safe
        self.engine.register_action(script.name, script, replay_safe=replay_safe)

    async def _run(
        self, definition: WorkflowDefinition, signal: TriggerInput | Mapping[str, object] | None
    ) -> RunResult:
        registration = self.engine.registry.triggers.get(definition.trigger_type)
        trigger = await self.engine.emit(matching_signal(signal, definition, registration))
        for run_id in trigger.run_ids:
            run = await self.engine.get_run(run_id)
            if run is not None and run.definition_id == definition.id:
                return await self.finish(run_id)
        raise AssertionError(
            "The signal does not match the definition "
            f"{definition.name!r}: {mismatch(definition, trigger)}."
        )

    async def _is_over(self, run_id: str) -> bool:
        run = await self.engine.get_run(run_id)
        return run is not None and run.status not in ("pending", "running", "waiting")

    async def _jump(self, to: datetime | None) -> None:
        if to is None:
            await asyncio.sleep(POLL.total_seconds())
            return
        rest = to - await self._clock.now() + TICK
        if rest > timedelta():
            try:
                await self._clock.advance(rest, patience=self.patience)
            except RPCError as error:
                if error.status != RPCStatusCode.DEADLINE_EXCEEDED:
                    raise
                raise TimeoutError from error

    async def _next_due(self) -> datetime | None:
        """Wait until all work rests; give the first moment at which some goes on, if any."""
        while True:
            moments = await self._due_moments()
            if moments is not None:
                return min(moments, default=None)
            await asyncio.sleep(POLL.total_seconds())

    async def _due_moments(self) -> list[datetime] | None:
        """Return the moments that open runs wait for; None while one has something to do."""
        now = await self._clock.now()
        moments: list[datetime] = []
        for run in await self._open_runs():
            steps = await self.engine.get_run_steps(run.id)
            sleeping = None if run.status == "pending" else sleeping_steps(steps)
            if sleeping is None:
                return None
            moments += [await self._due(step, now=now) for step in sleeping]
        return None if any(moment <= now for moment in moments) else moments

    async def _due(self, step: WorkflowStepRun, *, now: datetime) -> datetime:
        """Return the moment, on Temporal's clock, at which a sleeping step goes on."""
        if step.step_type == "delay" and step.scheduled_for is not None:
            return step.scheduled_for
        key = (step.id, step.generation, step.attempt)
        if key not in self._attempts_due:
            self._attempts_due[key] = now + await self._pause(step)
        return self._attempts_due[key]

    async def _pause(self, step: WorkflowStepRun) -> timedelta:
        """Read how long a failed step pauses; its moment in Postgres is on another clock."""
        for entry in reversed(await self.engine.get_run_timeline(step.run_id)):
            pause_ms = entry.detail.get("retryInMs")
            if entry.path == step.path and isinstance(pause_ms, int):
                return timedelta(milliseconds=pause_ms)
        return timedelta()

    async def _open_runs(self) -> Sequence[WorkflowRun]:
        return (await self.engine.list_runs(OPEN, limit=MANY)).items

    @asynccontextmanager
    async def _bounded(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self.patience.total_seconds()):
                yield
        except TimeoutError as error:
            raise TimeoutError(
                f"Not done after {self.patience.total_seconds():g} s. {await self._doings()}"
            ) from error

    async def _doings(self) -> str:
        """Return what every open run is doing."""
        told: list[str] = []
        for run in await self._open_runs():
            steps = await self.engine.get_run_steps(run.id)
            doing = [
                f"{step.step_name} is {step.status}"
                + (f" ({step.blocked_reason})" if step.blocked_reason else "")
                for step in steps
                if step.status in ("running", "scheduled") or step.blocked_reason
            ]
            name = run.definition_snapshot.name
            told.append(f"{name!r} ({run.id}) is {run.status}: {', '.join(doing) or 'no step'}")
        return "Open runs: " + ("; ".join(told) or "none")


def _scratch_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pulse-testing-", ignore_cleanup_errors=True)
