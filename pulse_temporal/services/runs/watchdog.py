"""Notice from a thread that the event loop stands still, and keep its steps from being lost.

A handler that blocks the loop also stops the heartbeats of all others there: Temporal holds their
worker dead and delivers their steps again. So this thread says in Postgres that they are at work,
once a second, until they are over. When the whole process is gone, nobody says so any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType

from pulse_temporal.errors import PulseError
from pulse_temporal.handlers.logs import Subject, current_subject, loop_stands_still
from pulse_temporal.handlers.tracebacks import frames_of_thread, stack_of
from pulse_temporal.notices import Repeats
from pulse_temporal.store import attempts
from pulse_temporal.store.attempts import Hold
from pulse_temporal.store.database import Database

log: logging.Logger = logging.getLogger(__name__)

LOOK_EVERY = timedelta(milliseconds=250)
MARK_EVERY = timedelta(seconds=1)
LONGEST_GAP = timedelta(seconds=1)
"""This thread was not running itself when a look took longer: the process was frozen."""


@dataclass(slots=True, eq=False)
class AtWork:
    """A delivery that is at work in this process.

    Attributes:
        task: Of an async handler.
        is_held: The loop stood still meanwhile, so Temporal may have given the delivery up.
        blocked_for: How long this handler itself has held the loop; zero: it has not.
        stack: Where it was then.
    """

    step_run_id: str
    claim: int
    subject: Subject
    task: asyncio.Task[object] | None = None
    is_held: bool = False
    blocked_for: timedelta = timedelta()
    stack: str = ""


class Watchdog:
    """Watches the event loop in which it is started.

    Args:
        connect: Makes a way to Postgres for the thread; None: there is none, so that the log is
            all that it can write.
        blocked_after: Time after which the loop counts as blocked.
    """

    def __init__(
        self, connect: Callable[[], Database] | None, *, blocked_after: timedelta
    ) -> None:
        self._connect = connect
        self._blocked_after_seconds = blocked_after.total_seconds()
        self._at_work: dict[AtWork, None] = {}
        self._is_answered = True
        self._repeats = Repeats()
        self._ended = threading.Event()

    def start(self) -> None:
        """Watch the running event loop from now on."""
        watch = self._watch(asyncio.get_running_loop(), threading.get_ident())
        threading.Thread(
            target=asyncio.run, args=(watch,), name="pulse-watchdog", daemon=True
        ).start()

    def end(self) -> None:
        """Tell the thread to end, which it does at its next look."""
        self._ended.set()

    @contextmanager
    def watch(self, step_run_id: str, claim: int, subject: Subject) -> Generator[AtWork]:
        """Know of a delivery while the block lasts."""
        delivery = AtWork(step_run_id, claim, subject)
        self._at_work[delivery] = None
        try:
            yield delivery
        finally:
            del self._at_work[delivery]

    async def _watch(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        # A pool of its own: the engine's belongs to the loop that stands still.
        database = self._connect() if self._connect else None
        clock = asyncio.get_running_loop().time
        asked_at = looked_at = marked_at = clock()
        is_told = False
        try:
            while not self._ended.is_set():
                if self._is_answered:
                    self._is_answered, asked_at, is_told = False, clock(), False
                    loop.call_soon_threadsafe(self._answer)
                await asyncio.sleep(LOOK_EVERY.total_seconds())
                now = clock()
                # A process that was frozen, or a machine that slept, blames no handler.
                if now - looked_at > LONGEST_GAP.total_seconds():
                    asked_at = now
                looked_at = now
                if not self._is_answered and now - asked_at >= self._blocked_after_seconds:
                    self._note(loop, ident, timedelta(seconds=now - asked_at), tell=not is_told)
                    if not is_told:  # the first mark must come before Temporal misses a heartbeat
                        marked_at = now - MARK_EVERY.total_seconds()
                    is_told = True
                if database and now - marked_at >= MARK_EVERY.total_seconds():
                    marked_at = now
                    await self._mark(database)
                    looked_at = clock()
        except RuntimeError:  # the loop is closed
            return
        finally:
            if database:
                await database.close()

    def _answer(self) -> None:
        self._is_answered = True

    def _note(
        self, loop: asyncio.AbstractEventLoop, ident: int, seconds: timedelta, *, tell: bool
    ) -> None:
        """Note who cannot go on, and who is to blame."""
        deliveries = list(self._at_work)
        for delivery in deliveries:
            delivery.is_held = True
        stack = stack_of(iter(list(_above_the_loop(frames_of_thread(ident)))))
        culprit = _culprit(loop, deliveries) if stack else None
        if culprit is not None:
            culprit.blocked_for, culprit.stack = seconds, stack
        if tell:
            loop_stands_still(culprit.subject if culprit else None, seconds=seconds, stack=stack)

    async def _mark(self, database: Database) -> None:
        """Write into Postgres which deliveries are at work although Temporal hears nothing."""
        holds = [
            Hold(each.step_run_id, each.claim, holds_loop=bool(each.blocked_for))
            for each in list(self._at_work)
            if each.is_held
        ]
        if not holds:
            return
        try:
            async with database.session() as session:
                await attempts.hold(session, holds)
        except PulseError as error:
            if self._repeats.is_due(f"{error}"):
                log.warning("Steps whose worker stands still may be called again: %s", error)


def _above_the_loop(
    frames: Iterator[tuple[FrameType, int]],
) -> list[tuple[FrameType, int]]:
    """Leave out what has started the event loop."""
    found: list[tuple[FrameType, int]] = []
    for frame, line in frames:
        if frame.f_code.co_name == "_run_once":
            found.clear()
        else:
            found.append((frame, line))
    return found


def _culprit(loop: asyncio.AbstractEventLoop, deliveries: list[AtWork]) -> AtWork | None:
    """Find the delivery whose handler runs; the only one, when a task of its own runs."""
    with contextlib.suppress(RuntimeError):
        task = asyncio.current_task(loop)
        if task is None:
            return None
        in_loop = [each for each in deliveries if each.task is not None]
        # The handler may have started tasks: they carry its subject in their context.
        for each in in_loop:
            if each.task is task or each.subject == _subject_of(task):
                return each
        return in_loop[0] if len(in_loop) == 1 else None
    return None


def _subject_of(task: asyncio.Task[object]) -> Subject | None:
    """Return the step that a task belongs to; Python before 3.12 does not say it."""
    get_context: Callable[[], object] | None = getattr(task, "get_context", None)
    context = get_context() if get_context else None
    return context.get(current_subject) if isinstance(context, Context) else None
