"""Execute commands to Temporal: at once after an emit, or from the outbox.

A command is deleted after Temporal has answered. Whoever dies in between leaves a leased row,
and the next relay executes the command again; Temporal makes the second start a no-op.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import NotUnderstoodError, PulseError
from pulse_temporal.failpoints import reach
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.model.starts import StartableRun
from pulse_temporal.notices import Repeats
from pulse_temporal.services.definitions.schedules import Schedules
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import outbox, runs
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import OutboxCommand
from pulse_temporal.temporal.workflows import StartRefusedError, cancel_run, start_run

log = logging.getLogger(__name__)

LEFT_TO_THE_RELAY = "A start is left to the relay: %(error)s"
NOT_FORGOTTEN = "Runs have started, but the relay will look at them once more: %(error)s"
NOT_GIVEN_BACK = "Starts that found no room wait until their leases end: %(error)s"

BATCH = 100
"""Commands that a relay leases and executes together."""

LANES = 32
"""Offered starts under way at the same time; more only make Temporal answer each one later."""

QUEUE_LIMIT = 1_000
"""Offered starts that wait; beyond them emits leave theirs to the relay."""

FIRST_PAUSE = timedelta(milliseconds=500)
LONGEST_PAUSE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class PlannedStart:
    """A start command that the emitting process has leased."""

    command_id: int
    start: StartableRun


@dataclass(frozen=True, slots=True)
class _Offered:
    """A start in the queue; from ``until`` on (time of the event loop) it may be the relay's."""

    planned: PlannedStart
    until: float


class Dispatcher:
    """Executes commands with one client; shared by the emitter and the relay.

    A start that this process has emitted itself is leased by it, and does not wait for a relay::

        emit --offer--> _queue --a lane--> started in Temporal --> _done --> row deleted
                  |        |
                  |        +--lease over: the relay may have it
                  +--no room--> _left --> lease ended: the relay may have it at once

    ``_held`` are the commands whose leases are this process's to end when it stops. Whatever is
    lost on the way, the row is still there, and its lease runs out.

    Attributes:
        client: None until Temporal is connected; commands stay in the outbox till then.
    """

    def __init__(self, database: Database, observers: Observers, options: EngineOptions) -> None:
        self.database = database
        self.options = options
        self.control = RunControl(database, observers)
        self.schedules = Schedules(database, options)
        self.client: Client | None = None
        self._queue: asyncio.Queue[_Offered] = asyncio.Queue(QUEUE_LIMIT)
        self._done: asyncio.Queue[int] = asyncio.Queue(QUEUE_LIMIT)
        self._left: asyncio.Queue[_Offered] = asyncio.Queue()
        self._held: set[int] = set()
        self._under_way: set[asyncio.Future[None]] = set()
        self._running = False
        self._repeats = Repeats()

    @property
    def accepts(self) -> bool:
        """Whether an emit may lease its own starts: connected, running, and not behind."""
        return self._running and self.client is not None and not self._queue.full()

    def offer(self, starts: Sequence[PlannedStart]) -> None:
        """Start runs soon, in the background; what finds no room is left to the relay, at once."""
        until = asyncio.get_running_loop().time() + self.options.emit_lease.total_seconds()
        for start in starts:
            queue = self._left if self._queue.full() else self._queue
            queue.put_nowait(_Offered(start, until))
            self._held.add(start.command_id)

    def begin(self) -> None:
        """Move into the running event loop; what an earlier one left waits in the outbox."""
        self._queue = asyncio.Queue(QUEUE_LIMIT)
        self._done = asyncio.Queue(QUEUE_LIMIT)
        self._left = asyncio.Queue()
        self._held.clear()
        self._under_way.clear()

    async def rest(self) -> None:
        """Begin nothing more; return when what is under way has ended, or is overdue.

        A run that was started eagerly belongs to this process's worker, and waits for its
        ``task_timeout`` when that worker no longer listens.
        """
        self.client = None
        if self._under_way:
            patience = self.options.temporal_timeout.total_seconds()
            await asyncio.wait(self._under_way, timeout=patience)
        with suppress(PulseError):  # else another process starts them once more, for nothing
            await self._forget(self._take_done())

    async def give_back(self) -> None:
        """Let other processes start at once what this one has leased and will not start."""
        held, self._held = list(self._held), set[int]()
        if held:
            async with self.database.session() as session:
                await outbox.give_back(session, held)

    async def run(self) -> None:
        """Start offered runs until canceled, ``LANES`` at the same time."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._keep_forgetting(), name="pulse-started")
                lanes.create_task(self._keep_giving_back(), name="pulse-left")
                for _ in range(LANES):
                    lanes.create_task(self._keep_starting(), name="pulse-start")
        finally:
            self._running = False

    async def tick(self) -> int:
        """Start the next offered run, waiting for it; give how many started (0 or 1).

        One that fails unexpectedly keeps its lease and comes again; it holds up no other.
        """
        offered = await self._queue.get()
        planned = offered.planned
        # After its lease a relay may be starting it too. Temporal would make that one start, but
        # all the work would be done twice.
        if asyncio.get_running_loop().time() >= offered.until:
            self._held.discard(planned.command_id)
            return 0
        done = None
        with self._working():
            try:
                done = await self._start(planned.command_id, planned.start, tries=1)
            except PulseError as error:
                self._tell(LEFT_TO_THE_RELAY, error)
            except Exception as error:  # noqa: BLE001 - logged; the lane goes on
                self._tell_of_failure(planned.command_id, error)
        if done is not None:
            # The row goes in a statement with others. Until then a crash means a second start of
            # the same workflow id, which Temporal turns into none (tests/faults/crash_scenarios).
            await self._done.put(done)
            return 1
        if self.client is not None:  # else it was not tried
            self._held.discard(planned.command_id)
        return 0

    async def _keep_starting(self) -> None:
        while True:
            await self.tick()

    async def _keep_forgetting(self) -> None:
        """Delete the commands of started runs, with one statement those of many."""
        while True:
            done = [await self._done.get(), *self._take_done()]
            try:
                with self._working():
                    await self._forget(done)
            except PulseError as error:
                self._tell(NOT_FORGOTTEN, error)
                self._held.difference_update(done)

    async def _keep_giving_back(self) -> None:
        """End the leases of starts that found no room; one that has ended may be the relay's."""
        loop = asyncio.get_running_loop()
        while True:
            left = [await self._left.get()]
            left += [self._left.get_nowait() for _ in range(self._left.qsize())]
            ids = [each.planned.command_id for each in left if loop.time() < each.until]
            try:
                if ids:
                    async with self.database.session() as session:
                        await outbox.give_back(session, ids)
            except PulseError as error:
                self._tell(NOT_GIVEN_BACK, error)
            self._held.difference_update(each.planned.command_id for each in left)

    def _take_done(self) -> list[int]:
        return [self._done.get_nowait() for _ in range(self._done.qsize())]

    @contextmanager
    def _working(self) -> Generator[None]:
        """Let ``rest`` wait for the block."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(end)
        try:
            yield
        finally:
            self._under_way.discard(end)
            end.cancel()

    async def execute(self, commands: Sequence[OutboxCommand]) -> int:
        """Execute leased commands; give how many are done."""
        done = await self._outcomes(commands)
        await reach("relay.before_done")
        return await self._forget(done)

    async def _outcomes(self, commands: Sequence[OutboxCommand]) -> list[int]:
        """Execute commands together; return those that are done with.

        One that fails unexpectedly keeps its lease and comes again; it holds up no other.
        """
        with self._working():
            results = await asyncio.gather(
                *(self._execute(command) for command in commands), return_exceptions=True
            )
        for command, result in zip(commands, results, strict=True):
            if isinstance(result, BaseException):
                self._tell_of_failure(command.id, result)
        return [result for result in results if isinstance(result, int)]

    async def _forget(self, done: Sequence[int]) -> int:
        """Delete the commands that are done with; give how many."""
        if done:
            async with self.database.session() as session:
                await outbox.done(session, done)
            self._held.difference_update(done)
        return len(done)

    async def _execute(self, command: OutboxCommand) -> int | None:
        if command.kind == "cancel":
            return await self._cancel(command)
        if command.kind == "schedule":
            return await self._sync_schedule(command)
        try:
            async with self.database.session() as session:
                run = await runs.for_start(
                    session, command.subject_id, tenant_id=command.tenant_id
                )
        except NotUnderstoodError as error:
            await self._postpone(command.id, error, tries=command.tries)
            return None
        # Canceled before it started, or retried since: the later command starts what is to run.
        if run is None or run.status in TERMINAL_RUN_STATUSES:
            return command.id
        if run.generation != command.generation:
            return command.id
        return await self._start(command.id, run, tries=command.tries)

    async def _start(self, command_id: int, start: StartableRun, *, tries: int) -> int | None:
        """Start one run; give the command's id when it is done with, else put it off."""
        client = self.client
        if client is None:
            return None
        await reach("dispatch.before_start")
        try:
            await start_run(client, start, self.options, database=self.database.id)
            await reach("dispatch.after_start")
        except StartRefusedError as error:
            # To try again would never end. The run fails, and with a retry the user decides.
            await self.control.fail_unstarted(
                start.run_id,
                tenant_id=start.tenant_id,
                generation=start.generation,
                error=str(error),
            )
            facts = {"run_id": start.run_id, "tenant_id": start.tenant_id, "error": str(error)}
            log.error(  # noqa: TRY400 - the cause is in the text; the trace says nothing more
                "Run %(run_id)s of tenant %(tenant_id)s cannot start and has failed: %(error)s",
                facts,
                extra=facts,
            )
        except RPCError as error:
            await self._postpone(command_id, error, tries=tries)
            return None
        return command_id

    async def _cancel(self, command: OutboxCommand) -> int | None:
        client = self.client
        if client is None:
            return None
        try:
            await cancel_run(
                client,
                command.subject_id,
                generation=command.generation,
                timeout=self.options.temporal_timeout,
            )
        except RPCError as error:
            await self._postpone(command.id, error, tries=command.tries)
            return None
        return command.id

    async def _sync_schedule(self, command: OutboxCommand) -> int | None:
        client = self.client
        if client is None:
            return None
        try:
            await self.schedules.sync(client, command.subject_id, tenant_id=command.tenant_id)
        except RPCError as error:
            await self._postpone(command.id, error, tries=command.tries)
            return None
        return command.id

    async def _postpone(
        self, command_id: int, error: RPCError | NotUnderstoodError, *, tries: int
    ) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(tries - 1, 10), LONGEST_PAUSE)
        if self._repeats.is_due(f"{error}"):
            facts = {
                "outbox_id": command_id,
                "tries": tries,
                "pause_s": pause.total_seconds(),
                "error": str(error),
            }
            log.warning(
                "Command %(outbox_id)d of the outbox is put off for %(pause_s)g s, after try"
                " %(tries)d: %(error)s",
                facts,
                extra=facts,
            )
        async with self.database.session() as session:
            await outbox.postpone(session, command_id, pause=pause, error=str(error)[:1000])

    def _tell(self, message: str, error: PulseError) -> None:
        """Warn of what the relay makes up for; of the same cause only after growing pauses."""
        facts = {"error": str(error)}
        if self._repeats.is_due(f"{message}{error}"):
            log.warning(message, facts, extra=facts)

    def _tell_of_failure(self, command_id: int, error: BaseException) -> None:
        """Log what nobody has foreseen; the command keeps its lease and comes again."""
        facts = {"outbox_id": command_id, "error": repr(error)}
        if self._repeats.is_due(repr(error)):
            log.error(
                "Command %(outbox_id)d of the outbox failed and comes again: %(error)s",
                facts,
                extra=facts,
                exc_info=error,
            )
