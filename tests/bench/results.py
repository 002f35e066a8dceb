"""What a group of the benchmark is told, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from pulse_temporal.embedded import EmbeddedServices
from tests.bench.measure import Figures, Measure, Ratio, ratio


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
        grown_runs: A round and a point of a growth curve.
        grown_rounds: That count, of each point of a growth curve.
        steps: Steps of a definition.
        branches: Branches of a block.
        tenants: With a definition each.
        delays: Runs that sleep, on one server.
        giant_steps: Steps of the largest definition.
        giant_branches: Branches of the largest block.
        flood: Runs of a noisy tenant.
        samples: Runs of a quiet one beside it, at most.
        alone: Runs of a tenant that is alone.
        slots: Of a worker whose handlers take two seconds.
    """

    rounds: int
    runs: int
    in_flight: int
    single: int
    emits: int
    emitters: int
    grown_runs: int
    grown_rounds: int
    steps: tuple[int, ...]
    branches: tuple[int, ...]
    tenants: tuple[int, ...]
    delays: tuple[int, ...]
    giant_steps: int
    giant_branches: int
    flood: int
    samples: int
    alone: int
    slots: int


SHORT = Size(
    rounds=3,
    runs=120,
    in_flight=100,
    single=30,
    emits=1_500,
    emitters=10,
    grown_runs=20,
    grown_rounds=1,
    steps=(1, 3, 10),
    branches=(2, 10),
    tenants=(1, 100),
    delays=(0, 200),
    giant_steps=100,
    giant_branches=20,
    flood=600,
    samples=12,
    alone=400,
    slots=50,
)
FULL = Size(
    rounds=7,
    runs=300,
    in_flight=100,
    single=100,
    emits=5_000,
    emitters=10,
    grown_runs=100,
    grown_rounds=3,
    steps=(1, 3, 10, 30, 100),
    branches=(2, 10, 30, 100),
    tenants=(1, 100, 10_000),
    delays=(0, 1_000, 5_000, 20_000),
    giant_steps=1_000,
    giant_branches=100,
    flood=5_000,
    samples=40,
    alone=1_500,
    slots=200,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is aimed at.

    Attributes:
        figure: What is compared, in words.
        ratio: Measured.
        least: What it must reach; with ``lower`` what it must not exceed.
        aim: What would be good.
        lower: Smaller is better.
        spread: The smallest and the largest ratio of the rounds; None where it is no matter of
            rounds.
    """

    figure: str
    ratio: float
    least: float
    aim: float
    lower: bool = False
    spread: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """How the ratio stands to least and aim."""
        sign = -1 if self.lower else 1
        if sign * self.ratio >= sign * self.aim:
            return "aim"
        return "ok" if sign * self.ratio >= sign * self.least else "short"


def target(figure: str, found: Ratio, *, least: float, aim: float, lower: bool = False) -> Target:
    """Set a measured ratio against what is aimed at."""
    return Target(figure, found.value, least, aim, lower, (found.low, found.high))


@dataclass(frozen=True, slots=True)
class Duel:
    """Two contenders and what their ratio shall be; the fields are those of ``Target``."""

    figure: str
    one: str
    other: str
    least: float
    aim: float
    lower: bool = False
    measure: Measure = "per_second"

    def judge(self, figures: Mapping[str, Figures]) -> Target:
        """Compare them round by round."""
        found = ratio(figures[self.one], figures[self.other], measure=self.measure)
        return target(self.figure, found, least=self.least, aim=self.aim, lower=self.lower)


Row = dict[str, float | str]


@dataclass
class Found:
    """What was measured.

    Attributes:
        figures: Contenders side by side, by group.
        latencies: Milliseconds, by contender and percentile.
        targets: The ratios that matter.
        tables: Rows of numbers, by what was varied; all rows of a table have the same columns.
    """

    figures: dict[str, dict[str, Figures]] = field(default_factory=dict[str, dict[str, Figures]])
    latencies: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    targets: list[Target] = field(default_factory=list[Target])
    tables: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])

    def add(self, other: Found) -> None:
        """Take over what another group has found."""
        self.figures |= other.figures
        self.latencies |= other.latencies
        self.targets += other.targets
        self.tables |= other.tables


@dataclass(frozen=True, slots=True)
class Effort:
    """What it took to measure a group.

    Attributes:
        seconds: Without the start of the servers.
        others_percent: Of all cores, used by processes that had nothing to do with it.
    """

    seconds: float
    others_percent: float


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the benchmark, as it is kept in a file.

    Attributes:
        machine: Versions, cores, seed and mode.
        efforts: What each group took.
        found: Everything measured.
    """

    machine: Mapping[str, str | int]
    efforts: Mapping[str, Effort]
    found: Found


REPORT = TypeAdapter(Report)


def servers_of(services: EmbeddedServices) -> Sequence[int]:
    """Return the process ids of Postgres and, where it runs, of Temporal."""
    temporal = services.temporal
    return [services.postgres.pid, *([temporal.pid] if temporal else [])]
