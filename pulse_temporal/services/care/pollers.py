"""Who polls a task queue, and for which database."""

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
"""Temporal lists pollers for some minutes; one that works polls at least once in one."""


def identity_of(worker_id: str, database: str) -> str:
    """Return the name by which Temporal knows a worker: process, host, worker and database."""
    return f"{os.getpid()}@{socket.gethostname()}/{worker_id}/{database}"


async def other_databases(
    client: Client, *, task_queue: str, database: str | None, patience: timedelta
) -> dict[str, int]:
    """Count the workers of other databases that poll a task queue, by database.

    Raises:
        RPCError: Temporal does not answer, or it may not be asked.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(request, timeout=patience)
    newest = max((poller.last_access_time.seconds for poller in answer.pollers), default=0)
    found: dict[str, set[str]] = {}
    for poller in answer.pollers:
        match = IDENTITY.search(poller.identity)
        is_fresh = newest - poller.last_access_time.seconds <= FRESH.total_seconds()
        if match and is_fresh and match["database"] != database:
            found.setdefault(match["database"], set()).add(match["worker"])
    return {each: len(workers) for each, workers in found.items()}
