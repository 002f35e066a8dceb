"""Interleaved rounds, medians and ratios: figures of one run compare, those of two do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

TICKS = 100
"""Clock ticks a second in /proc."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one contender did in one round."""

    per_second: float
    own_cpu_ms: float
    server_cpu_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds of one contender.

    Attributes:
        per_second: Finished a second.
        own_cpu_ms: CPU of client and worker, which share a process, for each.
        server_cpu_ms: CPU of Temporal and Postgres for each.
        rounds: The rounds' rates.
    """

    per_second: float
    own_cpu_ms: float
    server_cpu_ms: float
    rounds: Sequence[float]


def summary(rounds: Sequence[Round]) -> Figures:
    """Take the medians."""
    return Figures(
        per_second=median(each.per_second for each in rounds),
        own_cpu_ms=median(each.own_cpu_ms for each in rounds),
        server_cpu_ms=median(each.server_cpu_ms for each in rounds),
        rounds=[round(each.per_second, 1) for each in rounds],
    )


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
        names = list(contenders)
        random.shuffle(names)
        for name in names:
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


def cpu_of(pids: Sequence[int]) -> float:
    """Give the CPU seconds of processes and all that they have started."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        except OSError:
            continue
        # utime and stime of the process, and of those of its children that have ended
        total += sum(int(ticks) for ticks in fields.split()[11:15]) / TICKS
        total += cpu_of([int(child) for child in children.split()])
    return total


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
