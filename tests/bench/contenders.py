"""Who takes part: the same work done by Pulse and by hand, on the same servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from time import perf_counter

import asyncpg
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from pulse_temporal import Engine, WorkflowContext, create_engine
from tests.bench.baselines import STEPS, WORKFLOWS, Answer, work

QUEUE = "bench-raw"
SHORT_MS = 1_000
PATIENCE_SECONDS = 120.0

MIRROR_TABLES = """
CREATE TABLE raw_runs (id text PRIMARY KEY, status text, begun timestamptz, ended timestamptz);
CREATE TABLE raw_steps (
    id text PRIMARY KEY, status text, result int, begun timestamptz, ended timestamptz
);
"""

RunOnce = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who can do a run.

    Attributes:
        name: In tables.
        run: Starts one run and waits for its end.
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
        """Give it."""
        return self.first


@asynccontextmanager
async def raw_contenders(address: str, dsn: str) -> AsyncGenerator[dict[str, Contender]]:
    """Run a worker with the hand-written workflows."""
    client = await Client.connect(address)
    moments = Moments()
    numbers = count()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=1, max_size=20))
        await pool.execute(MIRROR_TABLES)
        activities = [timed(moments), *mirroring(pool)]
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=QUEUE,
                workflows=WORKFLOWS,
                activities=activities,
                max_cached_workflows=2_000,
            )
        )

        def contender(name: str, workflow: str) -> Contender:
            async def run() -> None:
                id_ = f"{workflow}-{next(numbers)}"
                await client.execute_workflow(workflow, id_, id=id_, task_queue=QUEUE)

            return Contender(name, run, moments.last_first)

        yield {
            name: contender(name, workflow)
            for name, workflow in (
                ("empty", "Empty"),
                ("raw", "Raw"),
                ("raw local", "RawLocal"),
                ("raw + mirror", "RawMirrored"),
                ("raw branches", "RawBranches"),
            )
        }


def timed(moments: Moments) -> Callable[[str], Awaitable[Answer]]:
    """Give the activity ``work``, which notes its first calls."""

    @activity.defn(name="work")
    async def timed_work(name: str) -> Answer:
        moments.note(is_first=name.endswith("/0"))
        return await work(name)

    return timed_work


def mirroring(pool: asyncpg.Pool) -> Sequence[Callable[[str], Awaitable[object]]]:
    """Give the activities of a user who keeps a table of runs and one of steps."""

    @activity.defn
    async def begun(name: str) -> None:
        await pool.execute(
            "INSERT INTO raw_runs VALUES ($1, 'running', now()) ON CONFLICT DO NOTHING", name
        )

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

    return begun, mirrored, ended


@asynccontextmanager
async def pulse_contenders(address: str, dsn: str) -> AsyncGenerator[dict[str, Contender]]:
    """Run an engine with the same work."""
    engine = create_engine(dsn, address, queue_prefix="bench-pulse")
    moments = Moments()
    await engine.migrate()

    async def act(ctx: WorkflowContext) -> dict[str, object]:
        moments.note(is_first=ctx.step.step_name.endswith("0"))
        return {"n": len(ctx.step.step_name)}

    engine.register_action("act", act)
    kinds = {
        "pulse": [step(n) for n in range(STEPS)],
        "pulse, short actions": [step(n, timeoutMs=SHORT_MS) for n in range(STEPS)],
        "pulse branches": [
            {
                "type": "parallel",
                "name": "block",
                "branches": [[step(n)] for n in range(STEPS)],
            }
        ],
    }
    async with engine:
        for name, steps in kinds.items():
            await define(engine, name, steps)
        yield {name: Contender(name, runner(engine, name), moments.last_first) for name in kinds}


def step(n: int, **fields: object) -> dict[str, object]:
    """Write a step."""
    return {"type": "action", "name": f"step{n}", "uses": "act", **fields}


async def define(
    engine: Engine, name: str, steps: Sequence[object], *, tenant_id: str = "bench"
) -> None:
    """Store the one definition that a type of signal starts."""
    if name not in engine.registry.triggers:
        engine.register_trigger(name, source="bench")
    await engine.create_workflow(
        {"tenantId": tenant_id, "name": name, "triggerType": name, "steps": list(steps)}
    )


def runner(engine: Engine, type_: str) -> RunOnce:
    """Give what emits a signal and waits for its run."""

    async def run() -> None:
        trigger = await engine.emit({"tenantId": "bench", "source": "bench", "type": type_})
        (run_id,) = trigger.run_ids
        ended = await engine.wait_for_run(run_id, timeout=PATIENCE_SECONDS)
        if ended.status != "completed":
            raise AssertionError(f"{run_id} is {ended.status}: {ended.error_message}")

    return run
