"""Execute single commands of the outbox: start, cancel, keep a schedule equal to its row."""

from __future__ import annotations

import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import NotUnderstoodError
from pulse_temporal.failpoints import reach
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.model.starts import StartableRun
from pulse_temporal.notices import Repeats
from pulse_temporal.services.definitions.schedules import Schedules
from pulse_temporal.services.outbox.starts import LeasedStart
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.store import outbox, runs
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import OutboxCommand
from pulse_temporal.temporal.workflows import StartRefusedError, cancel_run, start_run

log: logging.Logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(milliseconds=500)
LONGEST_PAUSE = timedelta(seconds=30)


class Commands:
    """Executes commands that this process has leased, one at a time for each caller.

    Each method says whether the command is done with. One that Temporal does not take now is put
    off instead, and comes again.
    """

    def __init__(self, database: Database, observers: Observers, options: EngineOptions) -> None:
        self.database = database
        self.options = options
        self.control: RunControl = RunControl(database, observers)
        self.schedules: Schedules = Schedules(database, options)
        self._repeats = Repeats()

    async def read(self, start: LeasedStart) -> StartableRun | None:
        """Return what a start needs; None: there is nothing to start any more.

        The run was canceled before it started, or retried since: the later command starts what is
        to run.

        Raises:
            NotUnderstoodError: A newer release wrote the run.
        """
        if start.run is not None:
            return start.run
        async with self.database.session() as session:
            run = await runs.for_start(session, start.run_id, tenant_id=start.tenant_id)
        if run is None or run.status in TERMINAL_RUN_STATUSES:
            return None
        if run.generation != start.generation:
            return None
        return run

    async def start(
        self, client: Client, start: LeasedStart, run: StartableRun, *, eager: bool
    ) -> bool:
        """Start one run.

        Args:
            client: Of Temporal.
            start: The command.
            run: What ``read`` gave.
            eager: Let the worker of this process begin it past Temporal's queue.
        """
        await reach("dispatch.before_start")
        try:
            await start_run(client, run, self.options, database=self.database.id, eager=eager)
            await reach("dispatch.after_start")
        except StartRefusedError as error:
            # To try again would never end. The run fails, and with a retry the user decides.
            await self.control.fail_unstarted(
                run.run_id,
                tenant_id=run.tenant_id,
                generation=run.generation,
                error=str(error),
            )
            facts = {"run_id": run.run_id, "tenant_id": run.tenant_id, "error": str(error)}
            log.error(  # noqa: TRY400 - the cause is in the text; the trace says nothing more
                "Run %(run_id)s of tenant %(tenant_id)s cannot start and has failed: %(error)s",
                facts,
                extra=facts,
            )
        except RPCError as error:
            await self.postpone(start.command_id, error, tries=start.tries)
            return False
        return True

    async def execute(self, client: Client, command: OutboxCommand) -> bool:
        """Execute a cancel, or let a schedule follow its definition."""
        try:
            if command.kind == "cancel":
                await cancel_run(
                    client,
                    command.subject_id,
                    generation=command.generation,
                    timeout=self.options.temporal_timeout,
                )
            else:
                await self.schedules.sync(client, command.subject_id, tenant_id=command.tenant_id)
        except RPCError as error:
            await self.postpone(command.id, error, tries=command.tries)
            return False
        return True

    async def postpone(
        self, command_id: int, error: RPCError | NotUnderstoodError, *, tries: int
    ) -> None:
        """Put a command off, for a pause that grows with its tries."""
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
