"""The checks that Temporal answers: server, namespace, search attributes, pollers of the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal.config import EngineOptions
from pulse_temporal.model.health import HealthCheck, HealthStatus
from pulse_temporal.services.care.diagnosis import count
from pulse_temporal.services.care.pollers import other_databases
from pulse_temporal.temporal.attributes import HANDBOOK, attribute_flaws
from pulse_temporal.temporal.client import address_of


def judge_temporal(client: Client) -> HealthCheck:
    """Return that Temporal answers, and at which address."""
    return HealthCheck(
        name="temporal",
        status="ok",
        summary=f"Temporal at {address_of(client)}, namespace {client.namespace!r}, answers.",
    )


def temporal_failed(summary: str) -> HealthCheck:
    """Return that Temporal cannot be used, for the reason in ``summary``."""
    return HealthCheck(
        name="temporal",
        status="failed",
        summary=summary,
        advice="Does the server run, and do TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE name it?"
        " Signals are stored meanwhile, and their runs start when it is back.",
    )


def refusal(error: RPCError) -> str:
    """Return in words what an error of Temporal means."""
    if error.status == RPCStatusCode.NOT_FOUND:
        return f"Temporal answers, but not for this namespace: {error.message}"
    return f"Temporal does not answer: {error.message}"


async def check_attributes(client: Client, *, timeout: timedelta) -> HealthCheck:
    """Return whether the search attributes are registered, and with the right type."""
    try:
        flaws = await attribute_flaws(client, timeout=timeout)
    except RPCError as error:
        return HealthCheck(
            name="search_attributes",
            status="ok",
            summary=f"Not listed here ({error.message}). Were they missing, starts would wait in"
            " the outbox and say so.",
        )
    if flaws.wrong:
        return HealthCheck(
            name="search_attributes",
            status="failed",
            summary=f"Of another type than Keyword: {', '.join(flaws.wrong)}. Temporal refuses"
            " every start.",
            advice="Remove or rename them in Temporal, and start an engine, which registers its"
            f" own; see {HANDBOOK}.",
        )
    if flaws.missing:
        return HealthCheck(
            name="search_attributes",
            status="warning",
            summary=f"Missing in Temporal: {', '.join(flaws.missing)}. Runs cannot start.",
            advice="An engine registers them at its start where it may; else create them, see"
            f" {HANDBOOK}.",
        )
    if flaws.odd:
        return HealthCheck(
            name="search_attributes",
            status="warning",
            summary=f"Of another type than Keyword: {', '.join(flaws.odd)}. Runs start, but"
            " filters in Temporal's UI find words instead of values.",
            advice=f"Register them as Keyword when that can be done; see {HANDBOOK}.",
        )
    return HealthCheck(
        name="search_attributes", status="ok", summary="All search attributes are registered."
    )


async def check_sharing(
    client: Client, options: EngineOptions, *, database: str | None
) -> HealthCheck:
    """Return whether workers of other databases poll the engine's task queue.

    Args:
        client: Of Temporal.
        options: Of the engine.
        database: Id of the engine's database; None when it is not known.
    """
    if database is None:
        return _sharing("ok", "Not looked at: the id of this database is not known.")
    timeout = options.temporal_timeout
    queue = options.task_queue
    try:
        others = await other_databases(
            client, task_queue=queue, database=database, timeout=timeout
        )
    except RPCError as error:
        return _sharing("ok", f"Temporal does not say who polls: {error.message}")
    if not others:
        return _sharing("ok", f"No worker of another database polls task queue {queue!r}.")
    return _sharing(
        "warning",
        f"Task queue {queue!r} is also polled by {_in_words(others)}; this database is"
        f" {database}. Each leaves the other's runs alone, so runs are late.",
        advice="Give each database a queue_prefix (PULSE_QUEUE_PREFIX) or a Temporal namespace of"
        " its own.",
    )


def _sharing(status: HealthStatus, summary: str, *, advice: str | None = None) -> HealthCheck:
    return HealthCheck(name="sharing", status=status, summary=summary, advice=advice)


def _in_words(others: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count(workers, 'worker')} of database {other}" for other, workers in others.items()
    )
