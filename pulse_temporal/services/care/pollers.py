"""Find out which workers poll a task queue, and for which database."""

from __future__ import annotations

import os
import re
import socket
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

IDENTITY = re.compile(r"/(?P<worker>wrk_\w+)/(?P<database>dbs_\w+)$")
FRESH = timedelta(minutes=2)
"""Temporal lists pollers for minutes after they are gone, but one that is alive polls at least
once a minute. Older ones are left out: their process has ended."""


def identity_of(worker_id: str, database: str) -> str:
    """Return the identity of a worker in Temporal: process, host, worker and database.

    Pollers are listed with nothing else, so other workers read the database from it.
    """
    return f"{os.getpid()}@{socket.gethostname()}/{worker_id}/{database}"


async def other_databases(
    client: Client, *, task_queue: str, database: str | None, timeout: timedelta
) -> dict[str, int]:
    """Return how many workers of other databases poll a task queue, by database id.

    Raises:
        RPCError: Temporal does not answer, or we may not ask.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(request, timeout=timeout)
    # Compared with each other, not with this machine's clock, which may be wrong.
    newest = max((poller.last_access_time.seconds for poller in answer.pollers), default=0)
    found: dict[str, set[str]] = {}
    for poller in answer.pollers:
        match = IDENTITY.search(poller.identity)
        is_fresh = newest - poller.last_access_time.seconds <= FRESH.total_seconds()
        if match and is_fresh and match["database"] != database:
            found.setdefault(match["database"], set()).add(match["worker"])
    return {each: len(workers) for each, workers in found.items()}
