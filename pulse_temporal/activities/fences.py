"""Read from an activity who asks for it."""

from __future__ import annotations

from temporalio import activity

from pulse_temporal.contract import Speaker
from pulse_temporal.store.control import Fence


def fence_of(speaker: Speaker) -> Fence:
    """Give the fence of the workflow execution that called the present activity."""
    scope = speaker.scope
    return Fence(
        run_id=scope.run_id,
        tenant_id=scope.tenant_id,
        generation=scope.generation,
        branch=scope.branch,
        temporal_run_id=activity.info().workflow_run_id or "",
        first_execution_run_id=speaker.first_execution_run_id,
        parent_run_id=scope.parent_run_id,
        parent_first_run_id=scope.parent_first_run_id,
    )
