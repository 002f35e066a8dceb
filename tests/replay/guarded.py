"""A workflow outside of every passed-through room, to see what the sandbox does with it."""

from __future__ import annotations

import sys
from datetime import datetime

from temporalio import workflow
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

import pulse_temporal.workflows.pulse


@workflow.defn
class Guarded:
    """Tries what is forbidden, and looks around."""

    @workflow.run
    async def run(self) -> list[str]:
        """Return the names of the modules in its sandbox; refuse to go on without a guard."""
        try:
            datetime.now()  # noqa: DTZ005, TID251 - the very thing that must be refused
        except RestrictedWorkflowAccessError:
            assert pulse_temporal.workflows.pulse.PulseRun
            return sorted(sys.modules)
        return []
