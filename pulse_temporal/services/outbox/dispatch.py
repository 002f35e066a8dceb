"""Execute commands to Temporal: starts in turn between tenants, everything else at once.

A command is deleted after Temporal has answered. Whoever dies in between leaves a leased row,
and the next relay executes the command again; Temporal makes the second start a no-op.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from temporalio.client import Client

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import NotUnderstoodError, PulseError
from pulse_temporal.failpoints import reach
from pulse_temporal.notices import Repeats
from pulse_temporal.services.outbox.commands import Commands
from pulse_temporal.services.outbox.starts import LeasedStart, PlannedStart, Starts
from pulse_temporal.services.outbox.window import Window
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import outbox
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import OutboxCommand, StartedRun

log: logging.Logger = logging.getLogger(__name__)

LEFT_TO_THE_RELAY = "A start is left to the relay: %(error)s"
NOT_FORGOTTEN = "Runs have started, but the relay will look at them once more: %(error)s"
NOT_GIVEN_BACK = "Starts that found no room wait until their leases end: %(error)s"

SHORT_LOOK_S = 0.1
LONG_LOOK_S = 0.2
"""Pauses between two looks at the runs that are ahead: while others wait for them, and else."""


class Dispatcher:
    """Starts runs in turn between tenants; executes the relay's other commands at once.

    The emitter and the relay offer it what they have leased. ``Starts`` says how that stands,
    ``Window`` how many runs may be ahead of the workers.

    Attributes:
        client: None until Temporal is connected; commands stay in the outbox till then.
        starts: Of this process.
        window: How far they may be ahead.
    """

    def __init__(self, database: Database, observers: Observers, options: EngineOptions) -> None:
        self.database = database
        self.options = options
        self.client: Client | None = None
        self.starts = Starts()
        self.window = Window()
        self._commands = Commands(database, observers, options)
        self._running = False
        self._repeats = Repeats()
        observers.listen_to_runs(self._run_ended)

    def accepts(self, tenant_id: str) -> bool:
        """Return whether an emit may lease a tenant's start: connected, and not far behind."""
        return self._running and self.client is not None and self.starts.has_room(tenant_id)

    def offer(self, planned: Sequence[PlannedStart]) -> None:
        """Start runs soon, in the background; what finds no room is left to the relay, at once."""
        until = asyncio.get_running_loop().time() + self.options.emit_lease.total_seconds()
        for each in planned:
            run = each.start
            self.starts.offer(
                LeasedStart(
                    each.command_id,
                    run.run_id,
                    run.tenant_id,
                    generation=run.generation,
                    tries=1,
                    until=until,
                    run=run,
                )
            )

    def begin(self) -> None:
        """Move into the running event loop; what an earlier one left waits in the outbox."""
        self.starts: Starts = Starts()

    async def rest(self) -> None:
        """Begin nothing more; return when what is under way has ended, or is overdue.

        A run that was started eagerly belongs to this process's worker, and waits for its
        ``task_timeout`` when that worker no longer listens.
        """
        self.client = None
        await self.starts.settle(timeout=self.options.temporal_timeout.total_seconds())
        with suppress(PulseError):  # else another process starts them once more, for nothing
            await self._forget(self.starts.take_started())

    async def give_back(self) -> None:
        """Let other processes start at once what this one has leased and will not start."""
        held = self.starts.take_held()
        if held:
            async with self.database.session() as session:
                await outbox.give_back(session, held)

    async def run(self) -> None:
        """Start offered runs until canceled, as many at the same time as the window allows."""
        self._running = True
        # What an earlier start of this engine knew of its runs is out of date.
        self.window: Window = Window()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_forgetting(), name="pulse-started")
                group.create_task(self._keep_giving_back(), name="pulse-left")
                group.create_task(self._keep_looking(), name="pulse-ahead")
                while True:
                    # One by one, and only when there is room: the later a start is taken, the
                    # more tenants have had the time to come before it.
                    start = await self._next()
                    group.create_task(self._take_up(start), name="pulse-start")
        finally:
            self._running = False

    async def _next(self) -> LeasedStart:
        """Wait until a run may be started, and return the one whose turn it is."""
        while True:
            await self.window.wait_for_room()
            await self.starts.wait()
            start = self.starts.take(now=asyncio.get_running_loop().time())
            if start is not None:
                self.window.enter(start.run_id)
                return start

    async def _take_up(self, start: LeasedStart) -> None:
        """Start a run, and let it be ahead.

        One that fails unexpectedly keeps its lease and comes again; it holds up no other.
        """
        is_ahead = is_done = False
        with self.starts.under_way():
            try:
                is_ahead, is_done = await self._start(start)
            except PulseError as error:
                self._tell(LEFT_TO_THE_RELAY, error)
            except Exception as error:  # noqa: BLE001 - logged; the others go on
                self._tell_of_failure(start.command_id, error)
        if is_ahead:
            self.window.started(start.run_id, now=asyncio.get_running_loop().time())
        else:
            self.window.leave(start.run_id)
        if is_done:
            # The row goes in a statement with others. Until then a crash means a second start of
            # the same workflow id, which Temporal turns into none (tests/faults/crash_scenarios).
            await self.starts.started(start.command_id)
        elif self.client is not None:  # else it was not tried
            self.starts.no_longer_held([start.command_id])

    async def _start(self, start: LeasedStart) -> tuple[bool, bool]:
        """Start a run; return whether Temporal has it, and whether the command is done with."""
        # Read late, and not when it was leased: the run may have been canceled or retried while
        # the start waited for its turn.
        try:
            run = await self._commands.read(start)
        except NotUnderstoodError as error:
            await self._commands.postpone(start.command_id, error, tries=start.tries)
            return False, False
        if run is None:
            return False, True
        client = self.client
        if client is None:
            return False, False
        # An eager start takes a slot of this process's worker past Temporal's queue, in which the
        # tenants have their turns: only where no other tenant waits for one.
        eager = not self.starts.others_wait(start.tenant_id)
        is_done = await self._commands.start(client, start, run, eager=eager)
        return is_done, is_done

    async def _keep_looking(self) -> None:
        """Ask how the runs stand that are ahead, often while other starts wait for them."""
        while True:
            await self.window.wait_for_some()
            is_urgent = bool(self.starts) or self.window.is_half_full
            await asyncio.sleep(SHORT_LOOK_S if is_urgent else LONG_LOOK_S)
            found: list[StartedRun] = []
            run_ids = self.window.unknown()
            with suppress(PulseError):  # a run is ahead for a while only, whatever is known of it
                if run_ids:
                    async with self.database.session() as session:
                        found = await outbox.standings(session, run_ids)
            # Also after a read that failed: who is ahead for too long is let go by the clock.
            self.window.look(found, now=asyncio.get_running_loop().time())

    def _run_ended(self, run_id: str) -> None:
        """Make room for another start, without waiting for the next look."""
        self.window.end(run_id)

    async def _keep_forgetting(self) -> None:
        """Delete the commands of started runs, with one statement those of many."""
        while True:
            done = await self.starts.next_started()
            try:
                # ``rest`` waits for what is under way, so that a stop in good order leaves no
                # rows of runs that have started.
                with self.starts.under_way():
                    await self._forget(done)
            except PulseError as error:
                self._tell(NOT_FORGOTTEN, error)
                self.starts.no_longer_held(done)

    async def _keep_giving_back(self) -> None:
        """End the leases of starts that found no room."""
        loop = asyncio.get_running_loop()
        while True:
            left = await self.starts.next_left(now=loop.time())
            try:
                if left:
                    async with self.database.session() as session:
                        await outbox.give_back(session, left)
            except PulseError as error:
                self._tell(NOT_GIVEN_BACK, error)
            self.starts.no_longer_held(left)

    async def execute(self, commands: Sequence[OutboxCommand], *, until: float) -> None:
        """Put leased starts into their tenants' lines, and execute all other commands.

        Args:
            commands: Of the relay.
            until: Time of the event loop at which their leases end.
        """
        others: list[OutboxCommand] = []
        for command in commands:
            if command.kind == "start":
                self.starts.feed(_leased(command, until=until))
            else:
                others.append(command)
        if others:
            await self._forget(await self._outcomes(others))

    async def _outcomes(self, commands: Sequence[OutboxCommand]) -> list[int]:
        """Execute commands together; return those that are done with.

        One that fails unexpectedly keeps its lease and comes again; it holds up no other.
        """
        client = self.client
        if client is None:
            return []
        with self.starts.under_way():
            results = await asyncio.gather(
                *(self._commands.execute(client, command) for command in commands),
                return_exceptions=True,
            )
        for command, result in zip(commands, results, strict=True):
            if isinstance(result, BaseException):
                self._tell_of_failure(command.id, result)
        pairs = zip(commands, results, strict=True)
        return [command.id for command, result in pairs if result is True]

    async def _forget(self, done: Sequence[int]) -> None:
        """Delete the commands that are done with."""
        if done:
            await reach("dispatch.before_done")
            async with self.database.session() as session:
                await outbox.done(session, done)
            self.starts.no_longer_held(done)

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


def _leased(command: OutboxCommand, *, until: float) -> LeasedStart:
    return LeasedStart(
        command.id,
        command.subject_id,
        command.tenant_id,
        generation=command.generation,
        tries=command.tries,
        until=until,
    )
