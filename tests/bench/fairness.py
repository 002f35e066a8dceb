"""How long a quiet tenant's run takes beside another one's flood, and what turns cost one alone.

The other process is this module: ``python -m tests.bench.fairness DSN ADDRESS QUEUE NUMBER``
emits so many signals, starts what it may of them, and ends when it is told to.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from statistics import median
from time import perf_counter

import asyncpg

from pulse_temporal import Engine, WorkflowContext, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.postgres.connection import Connection
from tests.bench.contenders import PATIENCE_SECONDS, chain, define
from tests.bench.measure import percentile
from tests.bench.results import Found, Row, Size
from tests.harness import eventually

NOISY, QUIET = "noisy", "quiet"
STEPS = 3
TOGETHER = 500
SLOW_SECONDS = 2.0
PAUSE_SECONDS = 0.3
LOOK_SECONDS = 0.1
OUTAGES = 20
OVER = """
SELECT count(*) FROM pulse_workflow_runs AS r
JOIN pulse_run_control AS c ON c.run_id = r.id
WHERE r.tenant_id = $1 AND c.task_queue = $2 AND r.status IN ('completed', 'failed')
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A worker on a queue of its own, with a definition for each tenant."""

    engine: Engine
    pool: asyncpg.Pool
    queue: str
    dsn: str
    address: str

    async def ended(self) -> int:
        """Return how many runs of the noisy tenant have ended."""
        return await self.pool.fetchval(OVER, NOISY, self.queue)

    async def flood(self, number: int, *, is_joined: bool = False) -> None:
        """Emit signals of the noisy tenant, in the engine's transaction or in one of one's own."""
        if not is_joined:
            await emit_flood(self.engine, self.queue, number)
            return
        async with self.pool.acquire() as connection, connection.transaction():
            await emit_flood(self.engine, self.queue, number, connection=connection)

    async def one(self, *, is_joined: bool = False) -> str:
        """Emit the quiet tenant's signal; give its run."""
        signal = signal_of(QUIET, self.queue)
        if is_joined:
            async with self.pool.acquire() as connection, connection.transaction():
                return (await self.engine.emit(signal, connection=connection)).run_ids[0]
        return (await self.engine.emit(signal)).run_ids[0]

    async def one_to_the_end(self, *, is_joined: bool = False) -> float:
        """Emit the quiet tenant's signal; give how many seconds its run took to end."""
        began = perf_counter()
        run_id = await self.one(is_joined=is_joined)
        await self.engine.wait_for_run(run_id, timeout=PATIENCE_SECONDS)
        return perf_counter() - began


def signal_of(tenant_id: str, type_: str) -> dict[str, object]:
    """Write a signal."""
    return {"tenantId": tenant_id, "source": "bench", "type": type_}


async def emit_flood(
    engine: Engine, type_: str, number: int, *, connection: Connection | None = None
) -> None:
    """Emit so many signals of the noisy tenant, hundreds at a time."""
    signal = signal_of(NOISY, type_)
    for first in range(0, number, TOGETHER):
        signals = [signal] * min(TOGETHER, number - first)
        await engine.emit_many(signals, connection=connection)


async def act(_: WorkflowContext) -> None:
    """Do nothing."""


async def act_slowly(_: WorkflowContext) -> None:
    """Take a while, and no CPU."""
    await asyncio.sleep(SLOW_SECONDS)


@asynccontextmanager
async def stage(
    services: EmbeddedServices,
    dsn: str,
    queue: str,
    *,
    is_queued: bool = False,
    slots: int | None = None,
    is_started: bool = True,
) -> AsyncGenerator[Stage]:
    """Yield a worker; with ``slots`` its handlers take two seconds, of so many at a time."""
    address = services.temporal_address
    engine = create_engine(dsn, address, queue_prefix=queue, concurrency=slots or 100)
    await engine.migrate()
    engine.register_action("act", act_slowly if slots else act, queued=is_queued)
    steps = chain(STEPS) if slots or is_queued else chain(STEPS, timeoutMs=1_000)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        for tenant_id in (NOISY, QUIET):
            await define(engine, queue, steps, tenant_id=tenant_id)
        if is_started:
            await engine.start()
        try:
            yield Stage(engine, pool, queue, dsn, address)
        finally:
            await engine.stop()


async def sampled(at: Stage, size: Size, *, is_joined: bool = False) -> list[float]:
    """Return how long runs of the quiet tenant took, one by one, while the flood lasts."""
    waits: list[float] = []
    while len(waits) < size.samples and (not waits or await at.ended() < size.flood):
        waits.append(await at.one_to_the_end(is_joined=is_joined))
        await asyncio.sleep(PAUSE_SECONDS)
    return waits


async def from_here(at: Stage, size: Size) -> list[float]:
    """Emit both in this process."""
    await at.flood(size.flood)
    return await sampled(at, size)


async def joined(at: Stage, size: Size) -> list[float]:
    """Emit both in transactions of the application, which leave the starts to the relay."""
    await at.flood(size.flood, is_joined=True)
    return await sampled(at, size, is_joined=True)


async def from_elsewhere(at: Stage, size: Size) -> list[float]:
    """Let another process emit the flood."""
    arguments = ("-m", __name__, at.dsn, at.address, at.queue, str(size.flood))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is not None:
            await process.stdout.readline()
        return await sampled(at, size)
    finally:
        await process.communicate(b"")  # closes its input, which ends it


async def after_an_outage(at: Stage, size: Size) -> list[float]:
    """Emit the quiet tenant's signal while nobody works; seconds count from when workers come.

    Each time only a little of the flood is worked off, so all meet nearly the whole of it.
    """
    await at.flood(size.flood)
    waits: list[float] = []
    for _ in range(min(size.samples, OUTAGES)):
        run_id = await at.one()
        began = perf_counter()
        await at.engine.start()
        await at.engine.wait_for_run(run_id, timeout=PATIENCE_SECONDS)
        waits.append(perf_counter() - began)
        await at.engine.stop()
    return waits


async def alone(at: Stage, size: Size) -> list[float]:
    """Let nobody flood."""
    return [await at.one_to_the_end() for _ in range(size.samples)]


CASES: dict[str, tuple[Callable[[Stage, Size], Awaitable[list[float]]], bool]] = {
    "no flood": (alone, False),
    "same process": (from_here, False),
    "another process": (from_elsewhere, False),
    "joined emits": (joined, False),
    "after an outage": (after_an_outage, False),
    "no flood, queued": (alone, True),
    "same process, queued": (from_here, True),
}


async def drained(at: Stage, number: int) -> float:
    """Return how many runs a second end of one tenant that is alone."""
    began = perf_counter()
    await at.flood(number)

    async def is_over() -> bool:
        return await at.ended() >= number

    patience = timedelta(seconds=PATIENCE_SECONDS)
    await eventually(is_over, within=patience, pause_seconds=LOOK_SECONDS)
    return number / (perf_counter() - began)


async def fairness(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure the quiet tenant's runs case by case, then the throughput of one tenant alone."""
    rows: list[Row] = []
    for number, (name, (measure, is_queued)) in enumerate(CASES.items()):
        is_started = measure is not after_an_outage
        async with stage(
            services, dsn, f"fair{number}", is_queued=is_queued, is_started=is_started
        ) as at:
            waits = await measure(at, size)
            ended = await at.ended()
        rows.append(
            {
                "beside a flood": name,
                "runs of the quiet": len(waits),
                "p50 s": round(median(waits), 2),
                "p95 s": round(percentile(waits, 0.95), 2),
                "of the flood ended": ended,
            }
        )
    alone_rows: list[Row] = []
    kinds = {
        "short handlers": (size.alone, None, False),
        "queued handlers": (size.alone, None, True),
        "handlers of 2 s": (3 * size.slots, size.slots, False),
    }
    for turn in range(size.grown_rounds):
        for name in random.sample(list(kinds), len(kinds)):
            runs, slots, is_queued = kinds[name]
            queue = f"alone-{turn}-{name.split()[-1]}-{name[0]}"
            async with stage(services, dsn, queue, is_queued=is_queued, slots=slots) as at:
                rate = await drained(at, runs)
            alone_rows.append({"one tenant alone": name, "runs": runs, "runs/s": round(rate, 1)})
    return Found(tables={"fairness": rows, "one tenant alone": alone_rows})


async def emit_from_elsewhere(dsn: str, address: str, queue: str, number: int) -> None:
    """Be the other process: emit, say so, and go on starting until the input ends."""
    engine = create_engine(dsn, address, queue_prefix=queue)
    engine.register_trigger(queue, source="bench")
    await engine.start(worker=False)
    try:
        await emit_flood(engine, queue, number)
        sys.stdout.write("emitted\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await engine.stop()


if __name__ == "__main__":
    asyncio.run(emit_from_elsewhere(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
