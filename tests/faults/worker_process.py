"""A worker in a process of its own, made to be killed.

    python worker_process.py FOLDER DSN ADDRESS QUEUE [--heartbeat-ms N] [--grace-ms N] ...

It knows one action, ``work``, and one condition, ``ask``; the steps that use them behave as the
files in FOLDER say. Every call appends a line ``STEP PID ATTEMPT`` to ``calls``. Then:

``STEP.hang``     wait until the file is gone
``STEP.stall``    the same without giving the event loop back
``STEP.block``    the same in a thread that hears no cancellation, for steps that use ``sync_work``
``STEP.suicide``  kill the process

It prints a line when it is ready, stops in good order on SIGTERM, and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from pulse_temporal import Engine, WorkflowContext, create_engine

GLANCE_SECONDS = 0.02


class Desk:
    """The handlers, and the folder that tells them what to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, ctx: WorkflowContext) -> Path:
        """Write the call down; give the file name that the step's orders begin with."""
        name = ctx.step.step_name
        ctx.log("called")
        with (self.folder / "calls").open("a", encoding="utf-8") as calls:
            calls.write(f"{name} {os.getpid()} {ctx.step.attempt}\n")
        if (self.folder / f"{name}.suicide").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.folder / name

    async def work(self, ctx: WorkflowContext) -> dict[str, object]:
        """Be an action."""
        orders = self.note(ctx)
        while orders.with_suffix(".hang").exists():  # noqa: ASYNC110 - a file is no event
            await asyncio.sleep(GLANCE_SECONDS)
        while orders.with_suffix(".stall").exists():
            time.sleep(GLANCE_SECONDS)  # noqa: ASYNC251 - the mistake
        return {"by": os.getpid(), "key": ctx.idempotency_key}

    def sync_work(self, ctx: WorkflowContext) -> dict[str, object]:
        """Be an action in a thread."""
        orders = self.note(ctx)
        while orders.with_suffix(".block").exists():
            time.sleep(GLANCE_SECONDS)
        return {"by": os.getpid(), "key": ctx.idempotency_key}

    async def ask(self, ctx: WorkflowContext) -> bool:
        """Be a condition."""
        await self.work(ctx)
        return True


def make_engine(options: argparse.Namespace) -> Engine:
    """Make the engine that the command line describes."""
    engine = create_engine(
        options.dsn,
        options.address,
        queue_prefix=options.queue,
        heartbeat_timeout=timedelta(milliseconds=options.heartbeat_ms),
        task_timeout=timedelta(milliseconds=options.task_ms),
        shutdown_grace=timedelta(milliseconds=options.grace_ms),
        max_lost_workers=options.max_lost_workers,
        concurrency=options.concurrency,
    )
    desk = Desk(options.folder)
    engine.register_action("work", desk.work)
    engine.register_action("sync_work", desk.sync_work)
    engine.register_condition("ask", desk.ask)
    return engine


async def work(options: argparse.Namespace) -> None:
    """Work until SIGTERM."""
    told_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_stop.set)
    async with make_engine(options):
        say("the worker is ready")
        await told_to_stop.wait()
    say("the worker has stopped")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and work."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name in ("dsn", "address", "queue"):
        parser.add_argument(name)
    for name, usual in (("heartbeat-ms", 2_000), ("task-ms", 2_000), ("grace-ms", 5_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--max-lost-workers", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=100)
    asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
