"""Leave alone what belongs to another database that shares the task queue."""

from __future__ import annotations

import logging

from pulse_temporal.contract import CronClock, InterpreterInput, Scope
from pulse_temporal.notices import Repeats

log: logging.Logger = logging.getLogger(__name__)


class OtherDatabaseError(Exception):
    """A task belongs to another database; a worker of that one will do it."""


class Strangers:
    """Knows which tasks are this database's.

    A worker that does not find a run in its Postgres would say that it is gone, and end it. So
    what comes from another database is refused before anything is done: the task fails, not the
    run, and Temporal gives it to the next worker that asks.

    Args:
        task_queue: Whose tasks.
        database: Id of this database.
    """

    def __init__(self, *, task_queue: str, database: str) -> None:
        self.task_queue = task_queue
        self.database = database
        self._repeats = Repeats()

    def check_input(self, argument: object) -> None:
        """Check what a workflow was started with.

        Raises:
            OtherDatabaseError: It is of another database.
        """
        if isinstance(argument, InterpreterInput):
            self.check(argument.scope)
        elif isinstance(argument, CronClock):
            self._check(argument.database, f"a cron tick of definition {argument.definition_id}")

    def check(self, scope: Scope) -> None:
        """Check what an activity is asked for.

        Raises:
            OtherDatabaseError: It is of another database.
        """
        self._check(scope.database, f"run {scope.run_id}")

    def _check(self, database: str | None, what: str) -> None:
        if database in (None, self.database):  # None: started before databases had an id
            return
        facts = {
            "task_queue": self.task_queue,
            "what": what,
            "other_database": database,
            "database": self.database,
        }
        if self._repeats.is_due(f"{database}"):
            log.error(
                "Task queue %(task_queue)r is shared with another database: %(what)s belongs to"
                " %(other_database)s, this worker to %(database)s, and leaves it to others. Runs"
                " are late until each database has a queue_prefix or a Temporal namespace of its"
                " own.",
                facts,
                extra=facts,
            )
        raise OtherDatabaseError(
            f"{what} belongs to database {database}, this worker to {self.database}; it is left"
            " to a worker of its own database."
        )
