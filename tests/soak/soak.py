"""Drive runs through one worker for a while and show whether anything grows without end.

    make soak                       ten minutes
    make soak ARGS='--seconds 60'

Every line is one sample. The last one gives the slope of the memory over the second half, in
which caches are full and only a leak still grows. Nothing is asserted: read it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from asyncpg.protocol.protocol import PreparedStatementState

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import embedded_services
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import PulseTest, make_pulse

DRIVERS = 6
SAMPLES = 40
RUN_SECONDS = 120.0
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds at one moment."""

    seconds: float
    runs: int
    rss_mib: float
    files: int
    tasks: int
    threads: int
    objects: int
    statements: int

    def line(self) -> str:
        """Return it as a line under ``HEADER``."""
        return (
            f"{self.seconds:8.0f} {self.runs:8d} {self.rss_mib:9.1f} {self.files:6d}"
            f" {self.tasks:6d} {self.threads:8d} {self.objects:9d} {self.statements:6d}"
        )


HEADER = " seconds     runs   rss MiB  files  tasks  threads   objects cached"


class Soak:
    """The runs, and what they leave in the process."""

    def __init__(self, pulse: PulseTest) -> None:
        self.pulse = pulse
        self.finished = 0
        self.started_at = time.monotonic()

    async def prepare(self) -> None:
        """Define one workflow with every kind of step, a retry and a chained signal."""
        engine = self.pulse.engine
        tries = count()

        async def work(_: WorkflowContext) -> dict[str, object]:
            return {"text": "x" * 500}

        async def is_due(_: WorkflowContext) -> bool:
            return True

        async def every_third_fails(_: WorkflowContext) -> None:
            if next(tries) % 3 == 0:
                raise RuntimeError("as planned")

        async def record(ctx: WorkflowContext) -> None:
            await ctx.connection.execute("INSERT INTO soak_effects VALUES ($1)", ctx.run.id)

        def in_a_thread(ctx: WorkflowContext) -> None:
            ctx.log("in a thread", {"n": 1})

        engine.register_action("work", work)
        engine.register_action("flaky", every_third_fails)
        engine.register_action("record", record, transactional=True)
        engine.register_action("in_a_thread", in_a_thread)
        engine.register_condition("is_due", is_due)  # a Probe would keep every context
        async with engine.transaction() as connection:
            await connection.execute("CREATE TABLE soak_effects (run_id text)")
        await self.pulse.define(
            "soak.met",
            condition("is_due"),
            action("short", uses="work", timeoutMs=1_000),
            action("flaky", retryPolicy={"maxAttempts": 5, "backoffMs": 100}),
            parallel("both", ["record"], ["in_a_thread", delay("pause", 20)]),
            action("last", uses="work"),
        )

    async def drive(self, seconds: float) -> None:
        """Emit, wait for the end, and again."""
        while time.monotonic() - self.started_at < seconds:
            trigger = await self.pulse.emit("soak.met", {"text": "y" * 500})
            await self.pulse.engine.wait_for_run(trigger.run_ids[0], RUN_SECONDS)
            self.finished += 1

    def sample(self) -> Sample:
        """Look at the process."""
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        gc.collect()
        return Sample(
            seconds=time.monotonic() - self.started_at,
            runs=self.finished,
            rss_mib=resident * PAGE_BYTES / MEBIBYTE,
            files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            objects=len(gc.get_objects()),
            statements=len(statements_kept()),
        )


async def soak(seconds: float) -> None:
    """Run everything and print the samples."""
    with tempfile.TemporaryDirectory(prefix="pulse-soak-", ignore_cleanup_errors=True) as folder:
        async with embedded_services(folder, durable=False, ui=False) as services:
            pulse = make_pulse(services.dsn, services.temporal_address)
            await pulse.engine.migrate()
            async with pulse.engine:
                made = Soak(pulse)
                await made.prepare()
                samples = await watch(made, seconds)
    say(verdict(samples))


async def watch(made: Soak, seconds: float) -> list[Sample]:
    """Print a sample now and then while the drivers work."""
    say(HEADER)
    samples: list[Sample] = []
    async with asyncio.TaskGroup() as group:
        drivers = [group.create_task(made.drive(seconds)) for _ in range(DRIVERS)]
        while not all(driver.done() for driver in drivers):
            await asyncio.wait(drivers, timeout=seconds / SAMPLES)
            samples.append(made.sample())
            say(samples[-1].line())
    return samples


def statements_kept() -> list[PreparedStatementState]:
    """Return the prepared statements that all connections together keep."""
    return [kept for kept in gc.get_objects() if isinstance(kept, PreparedStatementState)]


def verdict(samples: list[Sample]) -> str:
    """Return the slope of the memory over the second half, by least squares."""
    half = samples[len(samples) // 2 :]
    mean_s = sum(sample.seconds for sample in half) / len(half)
    mean_mib = sum(sample.rss_mib for sample in half) / len(half)
    spread = sum((sample.seconds - mean_s) ** 2 for sample in half)
    slope = sum((s.seconds - mean_s) * (s.rss_mib - mean_mib) for s in half) / (spread or 1.0)
    runs = half[-1].runs - half[0].runs
    per_run = slope * (half[-1].seconds - half[0].seconds) / max(1, runs) * 1024
    return f"second half: {slope * 3600:+.1f} MiB an hour, {per_run:+.2f} KiB a run, {runs} runs"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600.0)
    asyncio.run(soak(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
