"""Measure Pulse against what one would write by hand, on servers of its own.

    make bench                              all that is compared, some twenty minutes
    make bench ARGS=--short                 the same in less than three
    make bench ARGS='--only growth'         what grows with steps, tenants, delays: a quarter hour
    make bench ARGS='--only fairness'       a quiet tenant beside a noisy one: a quarter hour
    make bench ARGS='--json figures.json'   keeps the figures, for tests.bench.page

Everything runs in this process and on this machine, in interleaved rounds: compare the ratios
of one run, not the figures of two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from random import Random

from pulse_temporal.embedded import EmbeddedServices, embedded_services, scratch_database
from tests.bench.dbos_group import MISSING, dbos, is_there
from tests.bench.emits import emits
from tests.bench.fairness import fairness
from tests.bench.groups import branches, latency, runs, sandbox
from tests.bench.growth import growth
from tests.bench.history import history
from tests.bench.processes import watch
from tests.bench.results import FULL, REPORT, SHORT, Effort, Found, Report, Size
from tests.bench.sizing import sizing
from tests.bench.tables import as_text

Group = Callable[[EmbeddedServices, str, Size, Random], Awaitable[Found]]
GROUPS: Mapping[str, Group] = {
    "runs": runs,
    "branches": branches,
    "latency": latency,
    "history": history,
    "emits": emits,
    "sizing": sizing,
    "sandbox": sandbox,
    "dbos": dbos,
    "growth": growth,
    "fairness": fairness,
}
LONG = frozenset({"sandbox", "growth", "fairness"})
"""Not of the short mode, unless asked for by name."""

ASKED_FOR = frozenset({"growth", "fairness"})
"""Not of the usual mode either."""

QUIET_PERCENT = 10
LIBRARIES = ("temporalio", "asyncpg", "pydantic")


async def measure(name: str, size: Size, seed: int) -> tuple[Found, Effort]:
    """Measure a group on fresh servers and a database of its own; say what it took."""
    with tempfile.TemporaryDirectory(prefix="pulse-bench-", ignore_cleanup_errors=True) as at:
        async with (
            embedded_services(at, ui=False) as services,
            scratch_database(services.dsn) as dsn,
        ):
            began = watch()
            found = await GROUPS[name](services, dsn, size, Random(seed))  # noqa: S311 - orders rounds
            seconds = time.monotonic() - began.at
            return found, Effort(round(seconds, 1), round(began.others_percent(), 1))


def measure_all(names: Sequence[str], size: Size, seed: int) -> tuple[Found, dict[str, Effort]]:
    """Measure groups one after the other, and print each."""
    found, efforts = Found(), dict[str, Effort]()
    for name in names:
        results, effort = asyncio.run(measure(name, size, seed))
        found.add(results)
        efforts[name] = effort
        others = f"others used {effort.others_percent:.0f} % of the CPU"
        say(f"\n{name}, {effort.seconds:.0f} s, {others}")
        if effort.others_percent > QUIET_PERCENT:
            say("The machine was not quiet: look at the spread before you believe a ratio.")
        for line in as_text(results):
            say(line)
    return found, efforts


def chosen(only: Sequence[str], *, short: bool) -> list[str]:
    """Return the groups to measure, in their order; print which cannot be."""
    usual = [name for name in GROUPS if name not in ASKED_FOR and not (short and name in LONG)]
    names = [name for name in GROUPS if name in (only or usual)]
    if "dbos" in names and not is_there():
        say(MISSING)
        names.remove("dbos")
    return names


def machine(*, seed: int, short: bool) -> dict[str, str | int]:
    """Return what the figures were measured with."""
    return {
        "python": platform.python_version(),
        "cpus": os.cpu_count() or 0,
        "seed": seed,
        "mode": "short" if short else "full",
        **{name: version(name) for name in LIBRARIES},
    }


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--short", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", choices=GROUPS, nargs="+", default=[], help="these groups")
    parser.add_argument("--seed", type=int, default=1, help="orders the rounds")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    options = parser.parse_args()
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        # The sandbox would compile the workflows of the baselines anew for every run.
        os.environ.pop("PYTHONDONTWRITEBYTECODE")
        sys.dont_write_bytecode = False
    stamp = machine(seed=options.seed, short=options.short)
    say(json.dumps(stamp))
    size = SHORT if options.short else FULL
    names = chosen(options.only, short=options.short)
    found, efforts = measure_all(names, size, options.seed)
    if options.json is not None:
        report = Report(stamp, efforts, found)
        # a whole number is a float to the type checker, but not to pydantic
        text = REPORT.dump_json(report, indent=2, warnings=False)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(text + b"\n")


if __name__ == "__main__":
    main()
