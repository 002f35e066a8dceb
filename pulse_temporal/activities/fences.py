"""Read from an activity who asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from temporalio import activity

from pulse_temporal import contract
from pulse_temporal.contract import ExecutionRef, Refusal
from pulse_temporal.services.runs.admission import NotKnownToBeCurrent
from pulse_temporal.store.fence import Fence
from pulse_temporal.temporal.workflows import current_run_id

Answer = TypeVar("Answer")


async def as_execution(
    execution: ExecutionRef, say: Callable[[Fence], Awaitable[Answer]], *, timeout: timedelta
) -> Answer | Refusal:
    """Write for a workflow execution; Temporal is asked when it is new in its place.

    Args:
        execution: Sent along by the workflow.
        say: What to do under the execution's fence; it may be called twice.
        timeout: Bound of a question to Temporal.
    """
    fence = fence_of(execution)
    # Outside of any transaction: the control row must not be locked while Temporal is asked.
    try:
        return await say(fence)
    except NotKnownToBeCurrent:
        if await _is_current(fence, timeout=timeout):
            return await say(replace(fence, is_current=True))
    message = f"Execution {fence.temporal_run_id} is not the newest one of its workflow."
    return Refusal(reason="superseded", message=message)


async def _is_current(fence: Fence, *, timeout: timedelta) -> bool:
    """Ask Temporal about an execution, and for a branch about the one that started it."""
    for each in (fence, fence.of_parent) if fence.branch else (fence,):
        workflow_id = contract.branch_workflow_id(each.run_id, each.generation, each.branch)
        current = await current_run_id(activity.client(), workflow_id, timeout=timeout)
        if current != each.temporal_run_id:
            return False
    return True


def fence_of(execution: ExecutionRef) -> Fence:
    """Return the fence of the workflow execution that called the present activity."""
    scope = execution.scope
    return Fence(
        run_id=scope.run_id,
        tenant_id=scope.tenant_id,
        generation=scope.generation,
        branch=scope.branch,
        temporal_run_id=activity.info().workflow_run_id or "",
        first_execution_run_id=execution.first_execution_run_id,
        parent_run_id=scope.parent_run_id,
        parent_first_run_id=scope.parent_first_run_id,
    )
