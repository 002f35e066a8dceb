"""Somebody with the Temporal CLI, who does things behind a run's back."""

from __future__ import annotations

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal.model.ids import new_id
from tests.harness import eventually


class Operator:
    """Resets, terminates and deletes workflows.

    Attributes:
        client: For whatever else.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    async def decisions(self, workflow_id: str, run_id: str | None = None) -> list[int]:
        """Return the events to which a workflow can be reset, oldest first."""
        handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
        history = await handle.fetch_history()
        wanted = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        return [event.event_id for event in history.events if event.event_type == wanted]

    async def reset(self, workflow_id: str, *, to: int, run_id: str | None = None) -> str:
        """Reset a workflow, or an old execution of it, to one of its decisions.

        Gives the new run id; decisions are counted as in a list.
        """
        decisions = await self.decisions(workflow_id, run_id)
        answer = await self.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id or ""),
                workflow_task_finish_event_id=decisions[to],
                request_id=new_id("log"),
                reason="test",
            )
        )
        return answer.run_id

    async def terminate(self, workflow_id: str, *, reason: str | None = None) -> None:
        """End a workflow at once."""
        await self.client.get_workflow_handle(workflow_id).terminate(reason=reason)

    async def delete(self, workflow_id: str) -> None:
        """Delete a workflow, and wait until it is gone."""
        await self.client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            )
        )

        async def gone() -> bool:
            return await self.status(workflow_id) is None

        await eventually(gone)

    async def status(
        self, workflow_id: str, run_id: str | None = None
    ) -> WorkflowExecutionStatus | None:
        """Return how a workflow stands; None when there is none."""
        handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            return (await handle.describe()).status
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def ended(self, workflow_id: str, run_id: str | None = None) -> WorkflowExecutionStatus:
        """Wait until a workflow is closed and say how."""

        async def look() -> WorkflowExecutionStatus | None:
            status = await self.status(workflow_id, run_id)
            return None if status == WorkflowExecutionStatus.RUNNING else status

        return await eventually(look)
