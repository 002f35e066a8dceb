"""Measure Pulse against what one would write by hand, on servers of its own.

    python -m tests.bench [--short] [--only GROUP] [--seed N] [--json FILE]

Everything runs in this process and on this machine, in interleaved rounds: compare the ratios,
not the figures of two runs. Takes about ten minutes, with ``--short`` less than three.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from random import Random

from pulse_temporal.embedded import EmbeddedServices, embedded_services, scratch_database
from tests.bench.groups import FULL, SHORT, Found, Size, Target, emits, runs, table
from tests.bench.measure import Figures

Group = Callable[[EmbeddedServices, str, Size, Random], Awaitable[Found]]
GROUPS: Mapping[str, Group] = {"runs": runs, "emits": emits}
LIBRARIES = ("temporalio", "asyncpg", "pydantic")


async def measure(names: Sequence[str], size: Size, seed: int) -> Found:
    """Measure some groups, each on a database of its own."""
    found = Found()
    for name in names:
        say(f"measuring {name} ...")
        with tempfile.TemporaryDirectory(prefix="pulse-bench-", ignore_cleanup_errors=True) as at:
            async with (
                embedded_services(at, ui=False) as services,
                scratch_database(services.dsn) as dsn,
            ):
                results = await GROUPS[name](services, dsn, size, Random(seed))  # noqa: S311 - orders rounds
        found.figures |= results.figures
        found.latencies |= results.latencies
        found.targets += results.targets
    return found


def report(figures: Mapping[str, Mapping[str, Figures]], targets: Sequence[Target]) -> None:
    """Print tables."""
    for name, rows in figures.items():
        say(f"\n{name}")
        for line in table(rows):
            say(line)
    say(f"\n{'ratio':<58}{'measured':>10}{'at least':>10}{'aim':>8}")
    for target in targets:
        least = f"{'≤ ' if target.lower else ''}{target.least}"
        say(
            f"{target.figure:<58}{target.ratio:>10.2f}{least:>10}{target.aim:>8}  {target.verdict}"
        )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", choices=GROUPS, help="one group")
    parser.add_argument("--seed", type=int, default=1, help="orders the rounds")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    options = parser.parse_args()
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        say("PYTHONDONTWRITEBYTECODE is set: runs pay for compiling the sealed room; unset it")
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "seed": options.seed,
        "mode": "short" if options.short else "full",
        **{name: version(name) for name in LIBRARIES},
    }
    say(json.dumps(machine))
    names = [options.only] if options.only else list(GROUPS)
    size = SHORT if options.short else FULL
    found = asyncio.run(measure(names, size, options.seed))
    report(found.figures, found.targets)
    if options.json is not None:
        text = json.dumps({"machine": machine, **asdict(found)}, indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
