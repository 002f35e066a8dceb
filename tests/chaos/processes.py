"""The crew: worker and emitter processes that are started again whenever they end."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Self

from tests.chaos.stage import Errand, Work, serve
from tests.processes import Fork

GLANCE_SECONDS = 0.02
LONGEST_REST_SECONDS = 0.3
READY_SECONDS = 60.0
STOP_SECONDS = 20.0

NURSERY = get_context("forkserver")
"""Forks processes off one that has imported everything: they work at once, and cost little."""


class Member:
    """One place in the crew, and the process that has it at present.

    Attributes:
        name: Of the place; its log is ``logs/NAME.log``.
        surprises: How processes ended that nobody had killed.
    """

    def __init__(self, name: str, work: Work, errand: Errand, *, chance: random.Random) -> None:
        self.name = name
        self.work = work
        self.errand = errand
        self.log = errand.folder / "logs" / f"{name}.log"
        self.surprises: list[str] = []
        self._chance = chance
        self._process: Fork | None = None
        self._is_doomed = False
        self._is_frozen = False
        self._is_leaving = False

    @property
    def is_alive(self) -> bool:
        """Whether a process is there that has not been killed."""
        return self._process is not None and not self._is_doomed

    @property
    def is_ready(self) -> bool:
        """Whether its process is alive and has begun its work."""
        process = self._process
        mark = self.errand.ready_mark(process.pid) if process else None
        return self.is_alive and mark is not None and mark.exists()

    @property
    def is_frozen(self) -> bool:
        """Whether its process is stopped and knows nothing of it."""
        return self._is_frozen

    async def keep(self) -> None:
        """Keep a process in this place until asked to leave."""
        while not self._is_leaving:
            process = Fork(
                NURSERY.Process(target=serve, args=(self.work, self.errand, self.log), daemon=True)
            )
            self._process, self._is_doomed, self._is_frozen = process, False, False
            self._judge(process, await process.ended())
            self._process = None
            self.errand.ready_mark(process.pid).unlink(missing_ok=True)
            await asyncio.sleep(self._chance.random() * LONGEST_REST_SECONDS)

    def kill(self) -> None:
        """Kill the process at once, as a machine that loses its power does."""
        self._is_doomed = True
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the process, without its knowledge."""
        self._is_frozen = True
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._is_frozen = False
        self._send(signal.SIGCONT)

    def ask_to_leave(self) -> None:
        """Let the process end in good order, and nobody follow it."""
        self._is_leaving = True
        self._send(signal.SIGTERM)

    def _judge(self, process: Fork, status: int) -> None:
        if not self._is_doomed and not (self._is_leaving and status == 0):
            self.surprises.append(
                f"{self.name} {process.pid} ended with status {status}, see {self.log}"
            )

    def _send(self, number: int) -> None:
        if self._process is not None:
            self._process.send(number)


class Crew:
    """All members; inside the block they are kept running.

    Attributes:
        workers: They run handlers.
        emitter: It is the application.
    """

    def __init__(self, workers: Sequence[Member], emitter: Member, *, folder: Path) -> None:
        self.workers = workers
        self.emitter = emitter
        for name in ("ready", "logs"):
            (folder / name).mkdir()
        NURSERY.set_forkserver_preload([workers[0].work.__module__, emitter.work.__module__])
        self._keepers: dict[Member, asyncio.Future[None]] = {}

    async def __aenter__(self) -> Self:
        """Start everybody and wait until everybody works."""
        for member in self.members:
            self._keepers[member] = asyncio.ensure_future(member.keep())
        await self.all_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End whoever is left."""
        for member, keeper in self._keepers.items():
            keeper.cancel()
            member.kill()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    @property
    def members(self) -> list[Member]:
        """Everybody."""
        return [*self.workers, self.emitter]

    @property
    def surprises(self) -> list[str]:
        """How processes ended that nobody had killed."""
        return [surprise for member in self.members for surprise in member.surprises]

    async def all_ready(self) -> None:
        """Wait until everybody works.

        Raises:
            TimeoutError: Somebody does not.
        """
        async with asyncio.timeout(READY_SECONDS):
            while not all(member.is_ready for member in self.members):  # noqa: ASYNC110 - a file is no event
                await asyncio.sleep(GLANCE_SECONDS)

    async def dismiss(self, members: Sequence[Member]) -> None:
        """Let members end in good order; who does not is killed, which is a surprise."""
        for member in members:
            member.ask_to_leave()
        waits = [self._keepers[member] for member in members]
        _, late = await asyncio.wait(waits, timeout=STOP_SECONDS)
        for member in members:
            if self._keepers[member] in late:
                member.surprises.append(f"{member.name} did not stop, see {member.log}")
                member.kill()
