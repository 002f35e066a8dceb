"""Interleaved rounds, medians and ratios: figures of one run compare, those of two do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Literal, assert_never

from tests.bench.processes import cpu_of

Measure = Literal["per_second", "own_cpu_ms", "server_cpu_ms"]


@dataclass(frozen=True, slots=True)
class Round:
    """What one contender did in one round; CPU is for each thing done."""

    per_second: float
    own_cpu_ms: float
    server_cpu_ms: float

    def value(self, measure: Measure) -> float:
        """Return one of the three."""
        match measure:
            case "per_second":
                return self.per_second
            case "own_cpu_ms":
                return self.own_cpu_ms
            case "server_cpu_ms":
                return self.server_cpu_ms
            case _:
                assert_never(measure)


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds of one contender.

    Attributes:
        per_second: Finished a second.
        own_cpu_ms: CPU of client and worker, which share a process, for each.
        server_cpu_ms: CPU of Temporal and Postgres for each.
        rounds: The rounds in the order in which they were measured.
    """

    per_second: float
    own_cpu_ms: float
    server_cpu_ms: float
    rounds: Sequence[Round]

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest round, a second."""
        rates = [each.per_second for each in self.rounds]
        return min(rates), max(rates)


def summary(rounds: Sequence[Round]) -> Figures:
    """Take the medians."""
    return Figures(
        per_second=median(each.per_second for each in rounds),
        own_cpu_ms=median(each.own_cpu_ms for each in rounds),
        server_cpu_ms=median(each.server_cpu_ms for each in rounds),
        rounds=rounds,
    )


@dataclass(frozen=True, slots=True)
class Ratio:
    """One contender against another.

    Attributes:
        value: Median of the rounds' ratios, each of two rounds that lay side by side.
        low: The smallest of them.
        high: The largest of them.
    """

    value: float
    low: float
    high: float


def ratio(one: Figures, other: Figures, *, measure: Measure = "per_second") -> Ratio:
    """Divide round by round, so that what slows a whole round down cancels out."""
    pairs = zip(one.rounds, other.rounds, strict=True)
    return spread_of([a.value(measure) / b.value(measure) for a, b in pairs])


def spread_of(values: Sequence[float]) -> Ratio:
    """Return the median of values, and how far they lie apart."""
    return Ratio(median(values), min(values), max(values))


async def throughput(
    contenders: Mapping[str, Callable[[], Awaitable[object]]],
    *,
    rounds: int,
    number: int,
    in_flight: int,
    servers: Sequence[int] = (),
    random: Random,
) -> dict[str, Figures]:
    """Let all contenders do so many things a round, in another order each round.

    Args:
        contenders: What to do once, by name.
        rounds: After one more that only warms up.
        number: Things a round and contender.
        in_flight: Of them at the same time.
        servers: Process ids whose CPU, with that of their children, is noted.
        random: Orders the rounds.
    """
    found: dict[str, list[Round]] = {name: [] for name in contenders}
    for number_of_round in range(rounds + 1):
        for name in random.sample(list(contenders), len(contenders)):
            measured = await one_round(
                contenders[name], number=number, in_flight=in_flight, servers=servers
            )
            if number_of_round:
                found[name].append(measured)
    return {name: summary(measured) for name, measured in found.items()}


async def one_round(
    do: Callable[[], Awaitable[object]], *, number: int, in_flight: int, servers: Sequence[int]
) -> Round:
    """Do something so often and say what it took."""
    left = iter(range(number))

    async def lane() -> None:
        for _ in left:
            await do()

    cpu, server_cpu, began = time.process_time(), cpu_of(servers), time.perf_counter()
    async with asyncio.TaskGroup() as lanes:
        for _ in range(min(in_flight, number)):
            lanes.create_task(lane())
    seconds = time.perf_counter() - began
    return Round(
        per_second=number / seconds,
        own_cpu_ms=(time.process_time() - cpu) * 1_000 / number,
        server_cpu_ms=(cpu_of(servers) - server_cpu) * 1_000 / number,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
