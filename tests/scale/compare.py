"""Ask two databases the same questions, sample by sample in turn, and compare."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.scale.questions import Question

WARM_UP = 20
"""Samples that do not count: plans are made, and pages come into memory."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Milliseconds that one question took, by round."""

    of_small: list[Sequence[float]] = field(default_factory=list[Sequence[float]])
    of_large: list[Sequence[float]] = field(default_factory=list[Sequence[float]])

    def small(self, share: float) -> float:
        """Return a percentile of the smaller database, median of the rounds."""
        return median(percentile(taken, share) for taken in self.of_small)

    def large(self, share: float) -> float:
        """Return a percentile of the larger database, median of the rounds."""
        return median(percentile(taken, share) for taken in self.of_large)

    def ratio(self, share: float) -> float:
        """Divide the larger's percentile by the smaller's in each round; give the median."""
        pairs = zip(self.of_large, self.of_small, strict=True)
        return median(
            percentile(large, share) / percentile(small, share) for large, small in pairs
        )

    def figures(self) -> dict[str, float]:
        """Return all of it by name."""
        return {
            f"{kind}_p{round(share * 100)}": round(value(share), 4)
            for kind, value in (
                ("small_ms", self.small),
                ("large_ms", self.large),
                ("ratio", self.ratio),
            )
            for share in (0.5, 0.95)
        }


def percentile(taken: Sequence[float], share: float) -> float:
    """Return the value that this share of all does not exceed."""
    return sorted(taken)[min(int(len(taken) * share), len(taken) - 1)]


async def compare(
    small: Mapping[str, Question], large: Mapping[str, Question], *, samples: int, rounds: int
) -> dict[str, Comparison]:
    """Ask everything in every round; garbage is collected between the rounds only."""
    found = {name: Comparison() for name in small}
    for number in range(rounds):
        for name, comparison in found.items():
            await _round(small[name], large[name], comparison, samples=samples, warm=number > 0)
        gc.collect()
    return found


async def _round(
    small: Question, large: Question, comparison: Comparison, *, samples: int, warm: bool
) -> None:
    if not warm:
        for _ in range(WARM_UP):
            await small()
            await large()
    of_small: list[float] = []
    of_large: list[float] = []
    gc.disable()
    try:
        for number in range(samples):
            turns = ((small, of_small), (large, of_large))
            for ask, taken in turns if number % 2 else turns[::-1]:
                began = time.perf_counter()
                await ask()
                taken.append((time.perf_counter() - began) * 1_000)
    finally:
        gc.enable()
    comparison.of_small.append(of_small)
    comparison.of_large.append(of_large)
