"""Build the Temporal worker: what runs where, under which sandbox and bounds."""

from __future__ import annotations

import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from pulse_temporal.config import EngineOptions
from pulse_temporal.workflows.pulse import PulseBranch, PulseRun
from pulse_temporal.workflows.tick import PulseCronTick

HOUSE = Path(__file__).parents[1]
SEALED_ROOM = "workflows"
LIBRARIES = (
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
)
STICKY_TIMEOUT = timedelta(seconds=2)
HEARTBEAT_THROTTLE = timedelta(seconds=1)
CACHED_WORKFLOWS = 2_000


def passthrough_modules() -> tuple[str, ...]:
    """Give the modules that Temporal's sandbox need not load anew for every run.

    Every room but ``workflows/``: its guard stays on for the code that replays, and costs 6 ms
    a run instead of 70.
    """
    rooms = [
        f"pulse_temporal.{room.name}"
        for room in pkgutil.iter_modules([str(HOUSE)])
        if room.name not in (SEALED_ROOM, "__main__")
    ]
    return (*rooms, *LIBRARIES)


def workflow_runner() -> SandboxedWorkflowRunner:
    """Give the sandbox in which runs are interpreted."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*passthrough_modules())
    return SandboxedWorkflowRunner(restrictions=restrictions)


def build_worker(
    client: Client,
    activities: Sequence[Callable[..., object]],
    options: EngineOptions,
    *,
    on_fatal_error: Callable[[BaseException], Awaitable[None]] | None = None,
) -> Worker:
    """Give a worker for one task queue; the caller runs it.

    Args:
        client: The one that also starts runs, so that starts can be eager.
        activities: Mirror writes and the dynamic step activity.
        options: Queue, concurrency and bounds.
        on_fatal_error: Awaited when the worker has failed, before it shuts itself down.
    """
    return Worker(
        client,
        task_queue=options.task_queue,
        workflows=[PulseRun, PulseBranch, PulseCronTick],
        activities=activities,
        workflow_runner=workflow_runner(),
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_activities=options.concurrency,
        max_concurrent_local_activities=options.concurrency,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        graceful_shutdown_timeout=options.shutdown_grace,
        on_fatal_error=on_fatal_error,
        # An eager activity skips the queue and with it the fairness between tenants.
        disable_eager_activity_execution=True,
    )
