"""Ask Temporal how workflows and schedules stand."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistoryEventFilterType
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import contract
from pulse_temporal.errors import TemporalUnavailableError

State = Literal["open", "completed", "failed", "canceled", "terminated", "timed_out"]

STATES: dict[WorkflowExecutionStatus, State] = {
    WorkflowExecutionStatus.COMPLETED: "completed",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.CANCELED: "canceled",
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.TIMED_OUT: "timed_out",
}
LISTED_SECONDS = 30
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Execution:
    """The newest execution of a workflow.

    Attributes:
        reason: Why it failed or was terminated.
        is_canceling: It is open and was asked to end.
    """

    state: State
    reason: str = ""
    is_canceling: bool = False


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """A schedule as lists show it, which may be a moment old."""

    definition_id: str
    is_paused: bool
    note: str


@contextmanager
def temporal_answers() -> Generator[None]:
    """Raise what the client says when Temporal does not answer as an error of this library.

    Raises:
        TemporalUnavailableError: An RPC failed.
    """
    try:
        yield
    except RPCError as error:
        raise TemporalUnavailableError(f"Temporal does not answer: {error}") from error


async def namespace_id(client: Client, *, patience: timedelta) -> str:
    """Give Temporal's own id of the client's namespace; a server that was wiped has a new one.

    Where asking for it is not allowed, the namespace's name must do.

    Raises:
        RPCError: Temporal does not answer.
    """
    try:
        answer = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=patience
        )
    except RPCError as error:
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        return client.namespace
    return answer.namespace_info.id


async def look_up(client: Client, workflow_id: str, *, patience: timedelta) -> Execution | None:
    """Describe the newest execution of a workflow; None when Temporal has none.

    Raises:
        RPCError: Temporal does not answer.
    """
    handle = client.get_workflow_handle(workflow_id)
    try:
        found = await handle.describe(rpc_timeout=patience)
        state = STATES.get(found.status) if found.status else None
        if state is None:
            asked = found.raw_description.workflow_extended_info.cancel_requested
            return Execution("open", is_canceling=asked)
        closed = client.get_workflow_handle(workflow_id, run_id=found.run_id)
        events = closed.fetch_history_events(
            event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, rpc_timeout=patience
        )
        async for event in events:
            failure = event.workflow_execution_failed_event_attributes.failure.message
            terminated = event.workflow_execution_terminated_event_attributes.reason
            return Execution(state, failure or terminated)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return Execution(state)


async def open_workflows(
    client: Client, *, task_queue: str, before: datetime | None, limit: int
) -> tuple[list[str], datetime | None]:
    """List one page of runs' workflows that are open, newest first; lists may be a moment old.

    Args:
        client: Of Temporal.
        task_queue: Whose workflows.
        before: Only those that started before; None: the newest.
        limit: Of the page.

    Returns:
        Their ids, and ``before`` of the next page; None when there is none.

    Raises:
        RPCError: Temporal does not answer, or does not let us list.
    """
    query = (
        f"WorkflowType = '{contract.RUN_WORKFLOW}' AND ExecutionStatus = 'Running'"
        f" AND TaskQueue = '{task_queue}'"
    )
    if before is not None:
        query += f" AND StartTime < '{before.isoformat()}'"
    patience = timedelta(seconds=LISTED_SECONDS)
    listed = client.list_workflows(query, limit=limit, rpc_timeout=patience)
    page = [(execution.id, execution.start_time) async for execution in listed]
    oldest = min((start for _, start in page), default=None)
    more = oldest is not None and len(page) == limit
    # Python knows microseconds, Temporal nanoseconds: what started in the same one comes again.
    return [name for name, _ in page], oldest + MICROSECOND if more and oldest else None


async def listed_schedules(client: Client, *, queue_prefix: str) -> list[ListedSchedule]:
    """List the schedules of definitions that engines with this prefix keep."""
    prefix = contract.schedule_id(queue_prefix, "")
    found: list[ListedSchedule] = []
    listed = await client.list_schedules(rpc_timeout=timedelta(seconds=LISTED_SECONDS))
    async for entry in listed:
        if entry.id.startswith(prefix) and entry.schedule is not None:
            state = entry.schedule.state
            definition_id = entry.id.removeprefix(prefix)
            found.append(ListedSchedule(definition_id, state.paused, state.note or ""))
    return found
