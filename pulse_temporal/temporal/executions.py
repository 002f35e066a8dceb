"""Read the state of workflows and schedules from Temporal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHistoryEventFilterType,
)
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
LISTED_SECONDS = 30  # lists scan Temporal's visibility store, so they may take longer than calls
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Execution:
    """The newest execution of a workflow.

    Attributes:
        state: ``open``, or how it closed.
        reason: Why it failed or was terminated; empty otherwise.
        is_canceling: It is open and has been asked to cancel.
        has_lost_branch: It is open, was reset, and waits for a branch that had closed before the
            reset. Temporal told that end to nobody, so the workflow would wait for ever.
    """

    state: State
    reason: str = ""
    is_canceling: bool = False
    has_lost_branch: bool = False


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """A schedule as Temporal lists it; lists lag behind changes by a moment."""

    definition_id: str
    is_paused: bool
    note: str


@contextmanager
def temporal_answers() -> Generator[None]:
    """Turn a failed RPC within the block into an error of this library.

    Raises:
        TemporalUnavailableError: An RPC failed.
    """
    try:
        yield
    except RPCError as error:
        raise TemporalUnavailableError(f"Temporal does not answer: {error}") from error


async def namespace_id(client: Client, *, timeout: timedelta) -> str:
    """Return Temporal's own id of the client's namespace, which a wiped server makes anew.

    Where we may not ask for it, return the namespace's name instead.

    Raises:
        RPCError: Temporal does not answer.
    """
    try:
        answer = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=timeout
        )
    except RPCError as error:
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        return client.namespace
    return answer.namespace_info.id


async def look_up(client: Client, workflow_id: str, *, timeout: timedelta) -> Execution | None:
    """Return the newest execution of a workflow; None when Temporal has none.

    Raises:
        RPCError: Temporal does not answer.
    """
    handle = client.get_workflow_handle(workflow_id)
    try:
        found = await handle.describe(rpc_timeout=timeout)
        state = STATES.get(found.status) if found.status else None
        if state is None:
            return Execution(
                "open",
                is_canceling=found.raw_description.workflow_extended_info.cancel_requested,
                has_lost_branch=await _has_lost_branch(client, found, timeout=timeout),
            )
        # By run id: a reset since the first call would make another execution the newest.
        closed = client.get_workflow_handle(workflow_id, run_id=found.run_id)
        events = closed.fetch_history_events(
            event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, rpc_timeout=timeout
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


async def _has_lost_branch(
    client: Client, found: WorkflowExecutionDescription, *, timeout: timedelta
) -> bool:
    """Return whether an open workflow waits for a branch whose end it will not be told.

    Temporal ends the branches of a workflow that is terminated, after it has closed; so their
    ends are in no history, and a reset to a point in the block waits for them. Only workflows
    that were reset are asked about their branches.
    """
    extended = found.raw_description.workflow_extended_info
    if not extended.HasField("last_reset_time"):
        return False
    reset_at = extended.last_reset_time.ToDatetime(UTC)
    for child in found.raw_description.pending_children:
        branch = client.get_workflow_handle(child.workflow_id, run_id=child.run_id)
        try:
            closed_at = (await branch.describe(rpc_timeout=timeout)).close_time
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return True
        if closed_at is not None and closed_at <= reset_at:
            return True
    return False


async def open_workflows(
    client: Client, *, task_queue: str, before: datetime | None, limit: int
) -> tuple[list[str], datetime | None]:
    """List one page of runs' workflows that are open, newest first; lists may be a moment old.

    Args:
        client: Of Temporal.
        task_queue: Of the workflows.
        before: Only workflows that started before this time; None: from the newest on.
        limit: Number of workflows on a page.

    Returns:
        Their ids, and ``before`` for the next page; None when this is the last one.

    Raises:
        RPCError: Temporal does not answer, or we may not list.
    """
    query = (
        f"WorkflowType = '{contract.RUN_WORKFLOW}' AND ExecutionStatus = 'Running'"
        f" AND TaskQueue = '{task_queue}'"
    )
    if before is not None:
        query += f" AND StartTime < '{before.isoformat()}'"
    timeout = timedelta(seconds=LISTED_SECONDS)
    listed = client.list_workflows(query, limit=limit, rpc_timeout=timeout)
    page = [(execution.id, execution.start_time) async for execution in listed]
    oldest = min((start for _, start in page), default=None)
    more = oldest is not None and len(page) == limit
    # Temporal counts nanoseconds, Python cuts them to microseconds. One microsecond more makes
    # the next page repeat workflows that started in the same one, instead of leaving some out.
    return [name for name, _ in page], oldest + MICROSECOND if more and oldest else None


async def listed_schedules(client: Client, *, queue_prefix: str) -> list[ListedSchedule]:
    """Return the schedules of definitions kept by engines with this queue prefix.

    Raises:
        RPCError: Temporal does not answer, or we may not list.
    """
    prefix = contract.schedule_id(queue_prefix, "")
    found: list[ListedSchedule] = []
    listed = await client.list_schedules(rpc_timeout=timedelta(seconds=LISTED_SECONDS))
    async for entry in listed:
        if entry.id.startswith(prefix) and entry.schedule is not None:
            state = entry.schedule.state
            definition_id = entry.id.removeprefix(prefix)
            found.append(ListedSchedule(definition_id, state.paused, state.note or ""))
    return found
