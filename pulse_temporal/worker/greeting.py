"""Log what a process is connected to, and warn of other databases on its task queue."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal.config import EngineOptions
from pulse_temporal.services.care.pollers import other_databases
from pulse_temporal.temporal.client import address_of
from pulse_temporal.worker.presence import Presence

log: logging.Logger = logging.getLogger(__name__)

DISTRIBUTION = "pulse-workflows"
WORKS = (
    "Pulse %(version)s works on task queue %(task_queue)r: Temporal at %(temporal)s, namespace"
    " %(namespace)r; Postgres database %(database)r (%(database_id)s); worker %(worker_id)s,"
    " %(concurrency)d handlers at a time; actions: %(actions)s; conditions: %(conditions)s."
)
EMITS = (
    "Pulse %(version)s starts runs on task queue %(task_queue)r and runs no handlers here:"
    " Temporal at %(temporal)s, namespace %(namespace)r; Postgres database %(database)r"
    " (%(database_id)s)."
)


class Greeting:
    """Logs what a process is connected to."""

    def __init__(self, presence: Presence, options: EngineOptions) -> None:
        self.presence = presence
        self.options = options

    async def say(self, client: Client, *, work: bool) -> None:
        """Log the facts of a new connection, and warn of workers of other databases."""
        presence, options = self.presence, self.options
        facts = {
            "version": installed_version(),
            "task_queue": options.task_queue,
            "temporal": address_of(client),
            "namespace": client.namespace,
            "database": presence.database_name,
            "database_id": presence.database.id,
            "worker_id": presence.worker_id,
            "concurrency": options.concurrency,
            "actions": _names(presence.registry.actions),
            "conditions": _names(presence.registry.conditions),
        }
        log.info(WORKS if work else EMITS, facts, extra=facts)
        await self._warn_of_others(client)

    async def _warn_of_others(self, client: Client) -> None:
        """Log a warning for each other database whose workers poll this task queue."""
        database = self.presence.database.id
        try:
            others = await other_databases(
                client,
                task_queue=self.options.task_queue,
                database=database,
                timeout=self.options.temporal_timeout,
            )
        except RPCError:  # perhaps not permitted; Strangers also warns, when it meets a task
            return
        for other, workers in others.items():
            facts = {
                "task_queue": self.options.task_queue,
                "namespace": client.namespace,
                "workers": workers,
                "other_database": other,
                "database_id": database,
            }
            log.warning(
                "Task queue %(task_queue)r in namespace %(namespace)r is also polled by workers of"
                " another database: %(workers)d of %(other_database)s, while this one is"
                " %(database_id)s. Give each database a queue_prefix or a namespace of its own.",
                facts,
                extra=facts,
            )


def installed_version() -> str:
    """Return the installed version of this library, or ``of an unknown version``."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # it was copied, not installed
        return "of an unknown version"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
