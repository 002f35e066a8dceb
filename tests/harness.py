"""A small engine to test with: scripted handlers, short definitions, real servers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TypeVar, Unpack
from urllib.parse import urlsplit

from temporalio.client import Client, WorkflowHandle, WorkflowHistory

from pulse_temporal import (
    Engine,
    TriggerEnvelope,
    WorkflowContext,
    WorkflowDefinition,
    WorkflowRun,
    WorkflowStepRun,
    create_engine,
)
from pulse_temporal.config import EngineSettings
from pulse_temporal.handlers.hooks import RunHook, StepHook
from pulse_temporal.postgres.connection import Pool
from pulse_temporal.store.database import Database
from pulse_temporal.store.invariants import violations
from pulse_temporal.testing import Gate, Probe, StepLike
from pulse_temporal.testing.steps import list_of

TENANT = "tenant-a"
SOURCE = "test"
PATIENCE = timedelta(seconds=10)
POLL_SECONDS = 0.02

Answer = TypeVar("Answer")


@dataclass(kw_only=True)
class Script(Probe):
    """A scripted handler that may return what no handler should.

    Attributes:
        returns: What a successful call returns.
    """

    returns: object = None

    async def __call__(self, ctx: WorkflowContext) -> object:
        """Count, then fail or succeed as scripted."""
        self._begin(ctx)
        return self.returns


class PulseTest:
    """An engine on a database and a task queue of its own, with shorthands."""

    def __init__(self, engine: Engine, *, dsn: str, temporal_address: str) -> None:
        self.engine = engine
        self.dsn = dsn
        self.temporal_address = temporal_address

    def signal(self, type_: str) -> None:
        """Register a signal type."""
        self.engine.register_trigger(type_, source=SOURCE)

    def action(
        self, name: str, *, fails: int = 0, returns: object = None, replay_safe: bool = False
    ) -> Script:
        """Register a scripted action."""
        probe = Script(name=name, fails=fails, returns=returns)
        self.engine.register_action(name, probe, replay_safe=replay_safe)  # pyright: ignore[reportArgumentType] - scripts may return what no handler should
        return probe

    def condition(self, name: str, *, returns: object = True, fails: int = 0) -> Script:
        """Register a scripted condition."""
        probe = Script(name=name, fails=fails, returns=returns)
        self.engine.register_condition(name, probe)  # pyright: ignore[reportArgumentType] - scripts may return what no handler should
        return probe

    def gate(self, name: str, *, returns: dict[str, object] | None = None) -> Gate:
        """Register an action that waits until the test opens it."""
        gate = Gate(name=name, returns=returns)
        self.engine.register_action(name, gate)
        return gate

    async def define(
        self, type_: str, *steps: StepLike, tenant_id: str = TENANT, **fields: object
    ) -> WorkflowDefinition:
        """Store a definition; a step given as text is an action of that name."""
        self.signal(type_)
        return await self.engine.create_workflow(
            {
                "tenantId": tenant_id,
                "name": f"On {type_}",
                "triggerType": type_,
                "steps": list_of(*steps),
                **fields,
            }
        )

    async def emit(
        self,
        type_: str,
        payload: Mapping[str, object] | None = None,
        *,
        tenant_id: str = TENANT,
        **fields: object,
    ) -> TriggerEnvelope:
        """Emit a signal of the tests' source."""
        signal = {"tenantId": tenant_id, "source": SOURCE, "type": type_, **fields}
        return await self.engine.emit({**signal, "payload": dict(payload or {})})

    async def emit_and_wait(
        self, type_: str, payload: Mapping[str, object] | None = None, *, tenant_id: str = TENANT
    ) -> WorkflowRun:
        """Emit a signal that matches one definition and wait for its run to be over."""
        trigger = await self.emit(type_, payload, tenant_id=tenant_id)
        (run_id,) = trigger.run_ids
        return await self.engine.wait_for_run(run_id)

    async def steps(self, run_id: str) -> dict[str, WorkflowStepRun]:
        """Return a run's step runs by path."""
        return {step.path: step for step in await self.engine.get_run_steps(run_id)}

    async def statuses(self, run_id: str) -> dict[str, str]:
        """Return the statuses of a run's steps by path."""
        return {path: step.status for path, step in (await self.steps(run_id)).items()}

    async def wait_for_status(self, run_id: str, status: str) -> WorkflowRun:
        """Wait until a run has a status, which need not be its last one."""

        async def look() -> WorkflowRun | None:
            run = await self.engine.get_run(run_id)
            return run if run and run.status == status else None

        return await eventually(look)

    async def wait_for_step(self, run_id: str, path: str, status: str) -> WorkflowStepRun:
        """Wait until a step has a status, which need not be its last one."""

        async def look() -> WorkflowStepRun | None:
            step = (await self.steps(run_id)).get(path)
            return step if step and step.status == status else None

        return await eventually(look)

    async def timeline(self, run_id: str) -> list[str]:
        """Return a run's timeline as short lines such as ``step_started charge``."""
        entries = await self.engine.get_run_timeline(run_id)
        return [f"{entry.type} {entry.step_name or ''}".strip() for entry in entries]

    async def workflow(self, workflow_id: str) -> WorkflowHandle[object, object]:
        """Return a handle on a workflow in Temporal."""
        client = await Client.connect(self.temporal_address)
        return client.get_workflow_handle(workflow_id)

    async def history(self, workflow_id: str) -> WorkflowHistory:
        """Read a workflow's history from Temporal."""
        return await (await self.workflow(workflow_id)).fetch_history()


_queues = count(1)


def make_pulse(
    dsn: str,
    temporal_address: str,
    *,
    like: PulseTest | None = None,
    pool: Pool | None = None,
    on_step: StepHook | None = None,
    on_run: RunHook | None = None,
    **settings: Unpack[EngineSettings],
) -> PulseTest:
    """Make an engine that is not started, on a task queue of its own or of another engine."""
    queue = f"test{urlsplit(dsn).path.replace('/', '-')}-{os.getpid()}-{next(_queues)}"
    if like is not None:
        queue = like.engine.options.queue_prefix
    engine = create_engine(
        pool or dsn,
        temporal_address,
        queue_prefix=queue,
        on_step_complete=on_step,
        on_run_complete=on_run,
        **settings,
    )
    return PulseTest(engine, dsn=dsn, temporal_address=temporal_address)


async def eventually(
    ask: Callable[[], Awaitable[Answer | None]],
    *,
    within: timedelta = PATIENCE,
    pause_seconds: float = POLL_SECONDS,
) -> Answer:
    """Ask again and again until the answer is true, and give it.

    Args:
        ask: Gives something true at last.
        within: Patience.
        pause_seconds: Between two times; longer where many ask side by side.

    Raises:
        TimeoutError: It was not true in time.
    """
    async with asyncio.timeout(within.total_seconds()):
        while True:
            answer = await ask()
            if answer:
                return answer
            await asyncio.sleep(pause_seconds)


@asynccontextmanager
async def checked_invariants(dsn: str) -> AsyncGenerator[None]:
    """Check after the block that the database contradicts itself nowhere."""
    yield
    database = Database(dsn, prefix="pulse_", timeout=PATIENCE)
    try:
        async with database.session() as session:
            broken = await violations(session)
    finally:
        await database.close()
    assert not broken
