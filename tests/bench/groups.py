"""What is measured: runs, the latency of their start, emits, branches, and the sandbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from statistics import median
from time import perf_counter

import asyncpg

from pulse_temporal import create_engine
from pulse_temporal.embedded import EmbeddedServices
from tests.bench.contenders import (
    Contender,
    define,
    pulse_contenders,
    raw_contenders,
    step,
)
from tests.bench.measure import Figures, percentile, throughput

MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: the short mode takes less than three minutes.

    Attributes:
        rounds: That count, of each contender.
        runs: A round and contender.
        in_flight: Runs at the same time.
        single: Runs one after the other, for latencies.
        emits: A round and contender.
        emitters: Emits at the same time.
    """

    rounds: int
    runs: int
    in_flight: int
    single: int
    emits: int
    emitters: int


SHORT = Size(rounds=3, runs=150, in_flight=100, single=30, emits=1_500, emitters=10)
FULL = Size(rounds=7, runs=300, in_flight=100, single=100, emits=5_000, emitters=10)


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is aimed at.

    Attributes:
        figure: What is compared, in words.
        ratio: Measured.
        least: What it must reach; with ``lower`` what it must not exceed.
        aim: What would be good.
        lower: Smaller is better.
    """

    figure: str
    ratio: float
    least: float
    aim: float
    lower: bool = False

    @property
    def verdict(self) -> str:
        """How the ratio stands to least and aim."""
        sign = -1 if self.lower else 1
        if sign * self.ratio >= sign * self.aim:
            return "aim"
        return "ok" if sign * self.ratio >= sign * self.least else "short"


@dataclass
class Found:
    """What was measured: tables of figures, latencies in ms, and the ratios that matter."""

    figures: dict[str, dict[str, Figures]] = field(default_factory=dict[str, dict[str, Figures]])
    latencies: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    targets: list[Target] = field(default_factory=list[Target])


async def runs(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure whole runs of three steps, many in flight."""
    pids = [services.postgres.pid, services.temporal.pid if services.temporal else 0]
    address = services.temporal_address
    async with raw_contenders(address, dsn) as raw, pulse_contenders(address, dsn) as pulse:
        everybody = {**raw, **pulse}
        figures = await throughput(
            {name: contender.run for name, contender in everybody.items()},
            rounds=size.rounds,
            number=size.runs,
            in_flight=size.in_flight,
            servers=pids,
            random=random,
        )
        latencies = await first_steps(everybody, size, random)

    def rate(one: str, other: str) -> float:
        return figures[one].per_second / figures[other].per_second

    short = "pulse, short actions"
    targets = [
        Target("runs/s, default ÷ raw", rate("pulse", "raw"), 0.95, 1.2),
        Target("runs/s, short actions ÷ raw", rate(short, "raw"), 1.5, 2.0),
        Target("runs/s, short actions ÷ empty workflow", rate(short, "empty"), 0.65, 0.85),
        Target(
            "p50 emit → first action ÷ raw start → first activity",
            latencies["pulse"]["p50_ms"] / latencies["raw"]["p50_ms"],
            1.0,
            0.6,
            lower=True,
        ),
        Target(
            "worker CPU a run, short actions ÷ raw local activities",
            figures[short].own_cpu_ms / figures["raw local"].own_cpu_ms,
            1.5,
            1.2,
            lower=True,
        ),
        Target(
            "time of three branches ÷ hand-written gathered children",
            rate("raw branches", "pulse branches"),
            1.1,
            1.0,
            lower=True,
        ),
    ]
    return Found({"runs": figures}, latencies, targets)


async def first_steps(
    contenders: Mapping[str, Contender], size: Size, random: Random
) -> dict[str, dict[str, float]]:
    """Measure one run at a time, from the call until its first action begins."""
    names = ["raw", "pulse", "pulse, short actions"]
    waits: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(size.single):
        for name in random.sample(names, len(names)):
            began = perf_counter()
            await contenders[name].run()
            waits[name].append((contenders[name].first_start() - began) * MILLISECONDS)
    return {
        name: {"p50_ms": median(found), "p95_ms": percentile(found, 0.95)}
        for name, found in waits.items()
    }


async def emits(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure emits alone: nobody works, and the relay is not there."""
    async with asyncpg.create_pool(dsn, min_size=size.emitters, max_size=size.emitters) as pool:
        engine = create_engine(pool, services.temporal_address, queue_prefix="bench-emit")
        await engine.migrate()
        engine.register_action("act", _never)
        await define(engine, "matched", [step(n) for n in range(3)])
        engine.register_trigger("unmatched", source="bench")
        found = await throughput(
            {
                "bare insert": inserting(pool),
                "no match": emitting(engine.emit, "unmatched"),
                "one match": emitting(engine.emit, "matched"),
            },
            rounds=size.rounds,
            number=size.emits,
            in_flight=size.emitters,
            servers=[services.postgres.pid],
            random=random,
        )
        await engine.stop()

    def ratio(name: str) -> float:
        return found[name].per_second / found["bare insert"].per_second

    targets = [
        Target("emits/s without a match ÷ bare insert", ratio("no match"), 0.6, 0.8),
        Target("emits/s with one match ÷ bare insert", ratio("one match"), 0.35, 0.5),
    ]
    return Found({"emits": found}, targets=targets)


async def _never(_: object) -> None:
    raise AssertionError("nobody works in this group")


def inserting(pool: asyncpg.Pool) -> Callable[[], Awaitable[object]]:
    """Give the bare insert of the row that an emit stores."""
    numbers = iter(range(10**9))

    async def insert() -> None:
        await pool.execute(
            """INSERT INTO pulse_triggers (id, tenant_id, source, type, payload, request_hash)
            VALUES ($1, 'bench', 'bench', 'bare', $2::text::jsonb, $3)""",
            f"trg_bare_{next(numbers):012}",
            '{"order":1}',
            "0" * 64,
        )

    return insert


def emitting(
    emit: Callable[[Mapping[str, object]], Awaitable[object]], type_: str
) -> Callable[[], Awaitable[object]]:
    """Give an emit of the same payload."""
    signal = {"tenantId": "bench", "source": "bench", "type": type_, "payload": {"order": 1}}
    return lambda: emit(signal)


def table(figures: Mapping[str, Figures]) -> list[str]:
    """Write the figures of a group as lines."""
    lines = [f"{'':<24}{'per second':>12}{'own CPU ms':>12}{'server CPU ms':>15}"]
    for name, each in figures.items():
        lines.append(
            f"{name:<24}{each.per_second:>12.1f}{each.own_cpu_ms:>12.2f}{each.server_cpu_ms:>15.2f}"
        )
    return lines
