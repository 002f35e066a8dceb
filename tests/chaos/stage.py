"""What every process of the crew does around its work: begin, show that it is ready, log, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path

from pulse_temporal import Engine
from pulse_temporal.errors import PostgresUnavailableError

PAUSE_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a process needs to know.

    Attributes:
        folder: Of the whole chaos.
        dsn: Way to Postgres, through the proxy.
        address: Way to Temporal, through the proxy.
        seed: For the emitter.
        rate: For the emitter: operations begun in a second.
    """

    folder: Path
    dsn: str
    address: str
    seed: int
    rate: float

    @property
    def effects(self) -> Path:
        """Folder for what handlers do outside of Postgres."""
        return self.folder / "effects"

    def ready_mark(self, pid: int) -> Path:
        """File that says that a process works."""
        return self.folder / "ready" / str(pid)


Work = Callable[[Errand, asyncio.Event, Callable[[], None]], Awaitable[None]]
"""Works until the event; calls the function when it is ready."""


def serve(work: Work, errand: Errand, log_file: Path) -> None:
    """Be a process: work until SIGTERM, or until whoever started this process is gone."""
    file = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s {os.getpid()} %(levelname)s %(name)s %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    asyncio.run(_serve(work, errand))


async def _serve(work: Work, errand: Errand) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    owner = parent_process()
    if owner is not None:
        loop.add_reader(owner.sentinel, os._exit, 1)

    def ready() -> None:
        log.info("ready")
        errand.ready_mark(os.getpid()).touch()

    log.info("begins")
    await work(errand, stopping, ready)
    log.info("ends")


async def start(engine: Engine, *, worker: bool) -> None:
    """Start an engine as soon as Postgres is there."""
    while True:
        try:
            await engine.start(worker=worker)
        except PostgresUnavailableError as error:
            log.warning("The engine cannot start yet: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
