"""Pulse against hand-written workflows: whole runs, their start, branches, the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from statistics import median
from time import perf_counter

from pulse_temporal.embedded import EmbeddedServices
from tests.bench.contenders import (
    NO_SANDBOX,
    PULSE,
    SHORT,
    Contender,
    pulse_contenders,
    raw_contenders,
)
from tests.bench.measure import Figures, Ratio, percentile, spread_of, throughput
from tests.bench.results import Duel, Found, Size, servers_of, target

MILLISECONDS = 1_000
BLOCKS = 5
"""Parts of a series of latencies, whose ratios show how far they spread."""

RUNS = (
    Duel("runs/s, default settings ÷ raw", PULSE, "raw", 0.95, 1.2),
    Duel("runs/s, short actions ÷ raw", SHORT, "raw", 1.5, 2.0),
    Duel("runs/s, short actions ÷ empty workflow", SHORT, "empty", 0.65, 0.85),
    Duel(
        "worker CPU a run, short actions ÷ raw local",
        SHORT,
        "raw local",
        1.5,
        1.2,
        lower=True,
        measure="own_cpu_ms",
    ),
)
BRANCHES = (
    Duel(
        "time of three branches ÷ hand-written gathered children",
        "raw branches",  # rates the other way round are times
        "pulse branches",
        1.1,
        1.0,
        lower=True,
    ),
)
BARE = ("empty", "raw", "raw local")


async def runs(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure whole runs of three steps, many in flight."""
    names = ("empty", "raw", "raw local", "raw + mirror", PULSE, SHORT)
    figures = await _throughput(services, dsn, names, size.runs, size, random)
    return Found({"runs": figures}, targets=[duel.judge(figures) for duel in RUNS])


async def branches(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure runs of one block with three branches, each a child workflow."""
    names = ("raw branches", "pulse branches")
    figures = await _throughput(services, dsn, names, size.runs // 3, size, random)
    return Found({"branches": figures}, targets=[duel.judge(figures) for duel in BRANCHES])


async def _throughput(
    services: EmbeddedServices,
    dsn: str,
    names: Sequence[str],
    number: int,
    size: Size,
    random: Random,
) -> dict[str, Figures]:
    address = services.temporal_address
    async with raw_contenders(address, dsn) as raw, pulse_contenders(address, dsn) as pulse:
        everybody = {**raw, **pulse}
        return await throughput(
            {name: everybody[name].run for name in names},
            rounds=size.rounds,
            number=number,
            in_flight=size.in_flight,
            servers=servers_of(services),
            random=random,
        )


async def sandbox(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure also baselines without Temporal's sandbox, as Pulse's worker interprets its runs."""
    address = services.temporal_address
    async with (
        raw_contenders(address, dsn) as raw,
        raw_contenders(address, dsn, sandboxed=False) as bare,
        pulse_contenders(address, dsn) as pulse,
    ):
        names = [*BARE, *(f"{name}{NO_SANDBOX}" for name in BARE), PULSE, SHORT]
        everybody = {**raw, **bare, **pulse}
        figures = await throughput(
            {name: everybody[name].run for name in names},
            rounds=size.rounds,
            number=size.runs,
            in_flight=size.in_flight,
            servers=servers_of(services),
            random=random,
        )
    stricter = [
        replace(duel, figure=f"{duel.figure}{NO_SANDBOX}", other=f"{duel.other}{NO_SANDBOX}")
        for duel in RUNS
    ]
    return Found({"sandbox": figures}, targets=[duel.judge(figures) for duel in stricter])


async def latency(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure one run at a time, from the call until its first action begins."""
    address = services.temporal_address
    async with raw_contenders(address, dsn) as raw, pulse_contenders(address, dsn) as pulse:
        everybody = {**raw, **pulse}
        names = ("raw", "raw, eager start", PULSE, SHORT)
        waits = await first_steps({name: everybody[name] for name in names}, size, random)
    latencies = {
        name: {
            "first_p50_ms": median(first),
            "first_p95_ms": percentile(first, 0.95),
            "run_p50_ms": median(whole),
            "run_p95_ms": percentile(whole, 0.95),
        }
        for name, (first, whole) in waits.items()
    }
    found = in_blocks(waits[PULSE][0], waits["raw"][0])
    judged = target(
        "p50 emit → first action ÷ raw start → first activity",
        found,
        least=1.0,
        aim=0.6,
        lower=True,
    )
    return Found(latencies=latencies, targets=[judged])


async def first_steps(
    contenders: Mapping[str, Contender], size: Size, random: Random
) -> dict[str, tuple[list[float], list[float]]]:
    """Return how many ms the first action of each run took to begin, and the whole run to end."""
    waits: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in contenders}
    for number in range(-BLOCKS, size.single):
        for name in random.sample(list(contenders), len(contenders)):
            began = perf_counter()
            await contenders[name].run()
            if number >= 0:
                first, whole = waits[name]
                first.append((contenders[name].first_start() - began) * MILLISECONDS)
                whole.append((perf_counter() - began) * MILLISECONDS)
    return waits


def in_blocks(one: Sequence[float], other: Sequence[float]) -> Ratio:
    """Divide the medians of what was measured at about the same time."""
    length = max(1, len(one) // BLOCKS)
    starts = range(0, length * BLOCKS, length)
    return spread_of(
        [median(one[at : at + length]) / median(other[at : at + length]) for at in starts]
    )
