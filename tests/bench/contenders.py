"""Who takes part: the same work done by Pulse and by hand, on the same servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count, cycle
from time import perf_counter

import asyncpg
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from pulse_temporal import Engine, WorkflowContext, create_engine
from pulse_temporal.config import EngineOptions
from pulse_temporal.worker.build import CACHED_WORKFLOWS
from tests.bench.baselines import STEPS, WORKFLOWS, Answer, work

TENANT = "bench"
PULSE, SHORT = "pulse", "pulse, short actions"
NO_SANDBOX = ", no sandbox"
SHORT_MS = 1_000
"""A declared timeout that makes a step a local activity."""

CONNECTIONS = 20
PATIENCE_SECONDS = 600.0

MIRROR_TABLES = """
CREATE TABLE IF NOT EXISTS raw_runs (
    id text PRIMARY KEY, status text, begun timestamptz, ended timestamptz
);
CREATE TABLE IF NOT EXISTS raw_steps (
    id text PRIMARY KEY, status text, result int, begun timestamptz, ended timestamptz
);
"""

RunOnce = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who can do a run.

    Attributes:
        name: In tables.
        run: Starts one run, waits for its end and gives the id of its workflow.
        first_start: Gives when the first action of the newest run began, by ``perf_counter``.
    """

    name: str
    run: RunOnce
    first_start: Callable[[], float]


class Moments:
    """Remembers when a handler was last called for the first step of a run."""

    def __init__(self) -> None:
        self.first = 0.0

    def note(self, *, is_first: bool) -> None:
        """Note the present moment for first steps."""
        if is_first:
            self.first = perf_counter()

    def last_first(self) -> float:
        """Return it."""
        return self.first


@asynccontextmanager
async def raw_contenders(
    address: str, dsn: str, *, sandboxed: bool = True
) -> AsyncGenerator[dict[str, Contender]]:
    """Run a worker with the hand-written workflows.

    It has the same bounds as Pulse's worker. What is left at the SDK's default is what users
    leave there: five pollers a kind of task (as Pulse), activities handed over eagerly (which
    Pulse turns off for fairness between tenants) and the sandbox.

    Args:
        address: Of Temporal.
        dsn: Where the mirroring ones keep their tables.
        sandboxed: False interprets workflows without the sandbox, which is cheaper.
    """
    client = await Client.connect(address)
    moments = Moments()
    numbers = count()
    suffix = "" if sandboxed else NO_SANDBOX
    queue = f"bench-raw-{'sandbox' if sandboxed else 'bare'}"
    concurrency = EngineOptions().concurrency
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(dsn, min_size=1, max_size=CONNECTIONS)
        )
        await pool.execute(MIRROR_TABLES)
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=queue,
                workflows=WORKFLOWS,
                activities=[timed(moments), *mirroring(pool)],
                workflow_runner=SandboxedWorkflowRunner()
                if sandboxed
                else UnsandboxedWorkflowRunner(),
                max_cached_workflows=CACHED_WORKFLOWS,
                max_concurrent_activities=concurrency,
                max_concurrent_local_activities=concurrency,
            )
        )

        def contender(name: str, workflow: str, *, eager: bool = False) -> Contender:
            async def run() -> str:
                id_ = f"{workflow}-{queue}-{next(numbers)}"
                if workflow == "RawMirrored":
                    await pool.execute("INSERT INTO raw_runs VALUES ($1, 'running', now())", id_)
                handle = await client.start_workflow(
                    workflow, id_, id=id_, task_queue=queue, request_eager_start=eager
                )
                await handle.result()
                return id_

            return Contender(f"{name}{suffix}", run, moments.last_first)

        everybody = (
            contender("empty", "Empty"),
            contender("raw", "Raw"),
            contender("raw, eager start", "Raw", eager=True),
            contender("raw local", "RawLocal"),
            contender("raw + mirror", "RawMirrored"),
            contender("raw branches", "RawBranches"),
        )
        yield {each.name: each for each in everybody}


def timed(moments: Moments) -> Callable[[str], Awaitable[Answer]]:
    """Return the activity ``work``, which notes its first calls."""

    @activity.defn(name="work")
    async def timed_work(name: str) -> Answer:
        moments.note(is_first=name.endswith("/0"))
        return await work(name)

    return timed_work


def mirroring(pool: asyncpg.Pool) -> Sequence[Callable[[str], Awaitable[object]]]:
    """Return the activities of a user who keeps a table of runs and one of steps."""

    @activity.defn
    async def mirrored(name: str) -> Answer:
        await pool.execute(
            """INSERT INTO raw_steps (id, status, begun) VALUES ($1, 'running', now())
            ON CONFLICT (id) DO UPDATE SET begun = now()""",
            name,
        )
        answer = await work(name)
        await pool.execute(
            "UPDATE raw_steps SET status = 'completed', result = $2, ended = now() WHERE id = $1",
            name,
            answer.n,
        )
        return answer

    @activity.defn
    async def ended(name: str) -> None:
        await pool.execute(
            "UPDATE raw_runs SET status = 'completed', ended = now() WHERE id = $1", name
        )

    return mirrored, ended


class Stage:
    """An engine at work, and what it is asked to do."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.moments = Moments()
        engine.register_action("act", self.act)
        engine.register_condition("is", self.is_so)

    async def act(self, ctx: WorkflowContext) -> dict[str, object]:
        """Do as little as ``work`` does."""
        self.moments.note(is_first=ctx.step.step_name == "step0")
        return {"n": len(ctx.step.step_name)}

    async def is_so(self, _: WorkflowContext) -> bool:
        """Be true."""
        return True

    async def contender(self, name: str, steps: Sequence[object]) -> Contender:
        """Store a definition and give what runs it."""
        await define(self.engine, name, steps)
        return Contender(name, runner(self.engine, name), self.moments.last_first)


@asynccontextmanager
async def pulse_stage(address: str, dsn: str) -> AsyncGenerator[Stage]:
    """Run an engine with default settings on a database of its own or one that raw ones use."""
    engine = create_engine(dsn, address, queue_prefix="bench-pulse")
    stage = Stage(engine)
    await engine.migrate()
    async with engine:
        yield stage


@asynccontextmanager
async def pulse_contenders(address: str, dsn: str) -> AsyncGenerator[dict[str, Contender]]:
    """Run an engine with the work that the raw ones do."""
    async with pulse_stage(address, dsn) as stage:
        kinds = {
            PULSE: chain(STEPS),
            SHORT: chain(STEPS, timeoutMs=SHORT_MS),
            "pulse branches": [block(STEPS)],
        }
        yield {name: await stage.contender(name, steps) for name, steps in kinds.items()}


def chain(number: int, **fields: object) -> list[dict[str, object]]:
    """Write so many steps, one after the other."""
    return [step(n, **fields) for n in range(number)]


def block(number: int, **fields: object) -> dict[str, object]:
    """Write a block of so many branches with a step each."""
    branches = [[step(n, **fields)] for n in range(number)]
    return {"type": "parallel", "name": "block", "branches": branches}


def step(n: int, **fields: object) -> dict[str, object]:
    """Write a step."""
    return {"type": "action", "name": f"step{n}", "uses": "act", **fields}


async def define(
    engine: Engine, name: str, steps: Sequence[object], *, tenant_id: str = TENANT
) -> None:
    """Store the one definition that a type of signal starts for a tenant."""
    if name not in engine.registry.triggers:
        engine.register_trigger(name, source="bench")
    await engine.create_workflow(
        {"tenantId": tenant_id, "name": name, "triggerType": name, "steps": list(steps)}
    )


def runner(engine: Engine, type_: str, *, tenants: Sequence[str] = (TENANT,)) -> RunOnce:
    """Return what emits a signal, of the next tenant, and waits for its run."""
    turns = cycle(tenants)

    async def run() -> str:
        signal = {"tenantId": next(turns), "source": "bench", "type": type_}
        trigger = await engine.emit(signal)
        (run_id,) = trigger.run_ids
        ended = await engine.wait_for_run(run_id, timeout=PATIENCE_SECONDS)
        if ended.status != "completed":
            raise AssertionError(f"{run_id} is {ended.status}: {ended.error_message}")
        return run_id

    return run
