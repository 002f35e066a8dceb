"""How cost and memory grow: with steps, branches, tenants and runs that sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from time import perf_counter

from temporalio.client import Client

from pulse_temporal.embedded import EmbeddedServices
from tests.bench.contenders import (
    SHORT_MS,
    Contender,
    Stage,
    block,
    chain,
    define,
    pulse_stage,
    runner,
    step,
)
from tests.bench.history import executions_of
from tests.bench.measure import Figures, Round, one_round, percentile, summary
from tests.bench.processes import memory_mib, own_mib
from tests.bench.results import Found, Row, Size, servers_of

IN_FLIGHT = 10
"""The same at every point of a curve."""

SLEEP_MS = 3_600_000
POLL_SECONDS = 0.2
EMITS = 200
LANES = 20
KINDS = {"short actions": {"timeoutMs": SHORT_MS}, "default settings": dict[str, object]()}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve.

    Attributes:
        labels: The first columns of its row.
        contender: What does a run.
        runs: So many a round.
        steps: A run.
    """

    labels: Row
    contender: Contender
    runs: int
    steps: int


@dataclass(frozen=True, slots=True)
class Ground:
    """Where things grow."""

    stage: Stage
    client: Client
    temporal: Sequence[int]
    postgres: Sequence[int]
    size: Size
    random: Random

    async def curve(self, points: Sequence[Point]) -> list[Row]:
        """Measure points in interleaved rounds; the first pass, upwards, shows memory."""
        memory: list[Row] = []
        for point in points:
            await self.round(point)
            memory.append(self.memory())
        rounds: list[list[Round]] = [[] for _ in points]
        for _ in range(self.size.grown_rounds):
            for at in self.random.sample(range(len(points)), len(points)):
                rounds[at].append(await self.round(points[at]))
        rows: list[Row] = []
        for point, found, remembered in zip(points, rounds, memory, strict=True):
            costs = costs_of(summary(found), steps=point.steps)
            left = await self.history(await point.contender.run())
            rows.append({**point.labels, **costs, **left, **remembered})
        return rows

    async def round(self, point: Point) -> Round:
        """Do the runs of one point."""
        return await one_round(
            point.contender.run,
            number=point.runs,
            in_flight=IN_FLIGHT,
            servers=[*self.temporal, *self.postgres],
        )

    async def history(self, run_id: str) -> Row:
        """Return what a run has left in Temporal."""
        left = await executions_of(self.client, run_id)
        return {"executions": left.executions, "events": left.events, "history KiB": left.kib}

    def memory(self) -> Row:
        """Return what the processes hold now; worker and client are one."""
        return {
            "worker MiB": own_mib(),
            "Temporal MiB": memory_mib(self.temporal),
            "Postgres MiB": memory_mib(self.postgres),
        }


async def growth(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure all curves, that of sleeping runs at the end."""
    found = Found()
    postgres, *temporal = servers_of(services)
    async with pulse_stage(services.temporal_address, dsn) as stage:
        client = await Client.connect(services.temporal_address)
        ground = Ground(stage, client, temporal, [postgres], size, random)
        found.tables["growth: steps"] = await ground.curve(await points_of_steps(ground))
        found.tables["growth: branches"] = await ground.curve(await points_of_branches(ground))
        found.tables["growth: giants"] = await giants(ground)
        found.tables["growth: tenants"] = await tenants(ground)
        found.tables["growth: open delays"] = await delays(ground)
    return found


def costs_of(figures: Figures, *, steps: int) -> Row:
    """Return what a step costs."""
    return {
        "runs/s": figures.per_second,
        "ms a step": 1_000 / (figures.per_second * steps),
        "worker CPU ms a step": figures.own_cpu_ms / steps,
        "server CPU ms a step": figures.server_cpu_ms / steps,
    }


async def points_of_steps(ground: Ground) -> list[Point]:
    """Make definitions of more and more steps, short ones and queued ones."""
    points: list[Point] = []
    for number in ground.size.steps:
        for kind, fields in KINDS.items():
            name = f"{number} steps, {kind}"
            contender = await ground.stage.contender(name, chain(number, **fields))
            runs = max(IN_FLIGHT, ground.size.grown_runs // number)
            points.append(Point({"steps": number, "kind": kind}, contender, runs, number))
    return points


async def points_of_branches(ground: Ground) -> list[Point]:
    """Make definitions of one block with more and more branches."""
    points: list[Point] = []
    for number in ground.size.branches:
        contender = await ground.stage.contender(
            f"{number} branches", [block(number, timeoutMs=SHORT_MS)]
        )
        runs = max(IN_FLIGHT, ground.size.grown_runs // number)
        points.append(Point({"branches": number}, contender, runs, number))
    return points


async def giants(ground: Ground) -> list[Row]:
    """Run the largest definitions once each."""
    steps, branches = ground.size.giant_steps, ground.size.giant_branches
    shapes = {
        f"{steps} short actions": chain(steps, timeoutMs=SHORT_MS),
        f"{steps} queued actions": chain(steps),
        f"block of {branches} branches": [block(branches)],
    }
    rows: list[Row] = []
    for name, shape in shapes.items():
        contender = await ground.stage.contender(name, shape)
        began = perf_counter()
        run_id = await contender.run()
        seconds = perf_counter() - began
        left = await ground.history(run_id)
        rows.append({"definition": name, "seconds": seconds, **left, **ground.memory()})
    return rows


async def tenants(ground: Ground) -> list[Row]:
    """Measure with more and more tenants that have a definition each, and take turns."""
    engine = ground.stage.engine
    rows: list[Row] = []
    points: list[Point] = []
    for number in ground.size.tenants:
        names = [f"tenant-{n}" for n in range(number)]
        type_ = f"for {number} tenants"
        turns = iter(names)

        async def lane(turns: Iterator[str] = turns, type_: str = type_) -> None:
            for tenant_id in turns:
                steps = chain(3, timeoutMs=SHORT_MS)
                await define(engine, type_, steps, tenant_id=tenant_id)

        engine.register_trigger(type_, source="bench")
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(lane())
        run = runner(engine, type_, tenants=ground.random.sample(names, number))
        contender = Contender(type_, run, ground.stage.moments.last_first)
        points.append(Point({"tenants": number}, contender, ground.size.grown_runs, 3))
        rows.append(await emits_of(ground, type_, names))
    measured = await ground.curve(points)
    return [{**row, **emitted} for row, emitted in zip(measured, rows, strict=True)]


async def emits_of(ground: Ground, type_: str, names: Sequence[str]) -> Row:
    """Time single emits with a match, tenants taking turns; their runs work meanwhile."""
    engine = ground.stage.engine
    seconds: list[float] = []
    run_ids: list[str] = []
    for n in range(EMITS):
        signal = {"tenantId": names[n % len(names)], "source": "bench", "type": type_}
        began = perf_counter()
        trigger = await engine.emit(signal)
        seconds.append(perf_counter() - began)
        run_ids += trigger.run_ids
    for run_id in run_ids:
        await engine.wait_for_run(run_id, timeout=SLEEP_MS / 1_000)
    return {
        "emit p50 ms": median(seconds) * 1_000,
        "emit p95 ms": percentile(seconds, 0.95) * 1_000,
    }


async def delays(ground: Ground) -> list[Row]:
    """Let more and more runs sleep, and see what the others do meanwhile."""
    pause = {"type": "delay", "name": "pause", "delayMs": SLEEP_MS}
    engine = ground.stage.engine
    await define(engine, "sleeps", [pause, step(0)])
    contender = await ground.stage.contender("meanwhile", chain(3, timeoutMs=SHORT_MS))
    asleep = 0
    rows: list[Row] = []
    for number in ground.size.delays:
        began = perf_counter()
        await put_to_sleep(ground, number - asleep, total=number)
        seconds = perf_counter() - began
        asleep = number
        point = Point({}, contender, ground.size.grown_runs, 3)
        await ground.round(point)
        rounds = [await ground.round(point) for _ in range(ground.size.grown_rounds)]
        figures = summary(rounds)
        rows.append(
            {
                "open delays": number,
                "seconds to open them": seconds,
                "short runs/s meanwhile": figures.per_second,
                "worker CPU ms a run": figures.own_cpu_ms,
                "server CPU ms a run": figures.server_cpu_ms,
                **ground.memory(),
            }
        )
    return rows


async def put_to_sleep(ground: Ground, number: int, *, total: int) -> None:
    """Start so many runs and wait until so many sleep altogether."""
    engine = ground.stage.engine
    left = iter(range(number))

    async def lane() -> None:
        for _ in left:
            await engine.emit({"tenantId": "bench", "source": "bench", "type": "sleeps"})

    async with asyncio.TaskGroup() as lanes:
        for _ in range(LANES):
            lanes.create_task(lane())
    while await sleepers(ground) < total:  # noqa: ASYNC110 - what changes is in Postgres
        await asyncio.sleep(POLL_SECONDS)


async def sleepers(ground: Ground) -> int:
    """Count the delays that have begun."""
    async with ground.stage.engine.transaction() as connection:
        row = await connection.fetchrow(
            """SELECT count(*) AS number FROM pulse_workflow_step_runs
            WHERE step_type = 'delay' AND status = 'scheduled'"""
        )
    return 0 if row is None else int(row["number"])
