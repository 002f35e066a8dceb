"""Compare the mirror with Temporal, run by run, and replay every history that was made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import asyncpg
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowHistory,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from pulse_temporal.contract import workflow_id
from pulse_temporal.workflows.pulse import PulseBranch, PulseRun
from pulse_temporal.workflows.tick import PulseCronTick
from tests.chaos.findings import Finding
from tests.sandbox import workflow_runner

MIRROR = """
SELECT r.id, r.status, r.generation, EXISTS (
    SELECT 1 FROM pulse_run_lineages AS l
    WHERE l.run_id = r.id AND l.generation = r.generation
) AS has_begun
FROM pulse_workflow_runs AS r ORDER BY r.id
"""
MATCHING: Mapping[str, WorkflowExecutionStatus] = {
    "completed": WorkflowExecutionStatus.COMPLETED,
    "failed": WorkflowExecutionStatus.FAILED,
    "canceled": WorkflowExecutionStatus.CANCELED,
}
OPEN = 'ExecutionStatus = "Running"'


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What Postgres says of a run."""

    run_id: str
    status: str
    generation: int
    has_begun: bool


async def open_workflows(client: Client) -> list[str]:
    """Return the ids of the workflows that Temporal still runs."""
    return [found.id async for found in client.list_workflows(OPEN)]


async def audit_temporal(dsn: str, client: Client) -> list[Finding]:
    """Return all that Temporal tells otherwise than the mirror."""
    found = [
        Finding("drift", "workflow is open", workflow) for workflow in await open_workflows(client)
    ]
    for run in await mirrored_runs(dsn):
        said = await status_in_temporal(client, run)
        if said is None and run.status == "canceled" and not run.has_begun:
            continue  # it was canceled before its start, which then never came
        if said != MATCHING.get(run.status):
            name = said.name if said else "nothing"
            found.append(
                Finding(
                    "drift",
                    "mirror and Temporal differ",
                    f"{run.run_id} generation {run.generation}: {run.status}, but {name}",
                )
            )
    return found


async def mirrored_runs(dsn: str) -> list[Mirrored]:
    """Read all runs."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(MIRROR)
    finally:
        await connection.close()
    return [
        Mirrored(row["id"], row["status"], row["generation"], row["has_begun"]) for row in rows
    ]


async def status_in_temporal(client: Client, run: Mirrored) -> WorkflowExecutionStatus | None:
    """Ask Temporal about the workflow of a run's present generation; None: there is none."""
    handle = client.get_workflow_handle(workflow_id(run.run_id, run.generation))
    try:
        return (await handle.describe()).status
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def replay_all(client: Client) -> tuple[int, list[Finding]]:
    """Replay every execution in the namespace; give how many, and those that decide otherwise."""
    replayer = Replayer(
        workflows=[PulseRun, PulseBranch, PulseCronTick],
        workflow_runner=workflow_runner(),
        data_converter=pydantic_data_converter,
    )
    executions = [found async for found in client.list_workflows()]
    names = {found.run_id: found.id for found in executions}
    results = await replayer.replay_workflows(
        _histories(client, executions), raise_on_replay_failure=False
    )
    return len(executions), [
        Finding("drift", "history does not replay", f"{names[run_id]} {run_id}: {failure!r}")
        for run_id, failure in results.replay_failures.items()
    ]


async def _histories(
    client: Client, executions: list[WorkflowExecution]
) -> AsyncIterator[WorkflowHistory]:
    for found in executions:
        handle = client.get_workflow_handle(found.id, run_id=found.run_id)
        yield await handle.fetch_history()
