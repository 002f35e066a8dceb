"""Build the Temporal worker: what runs where, and under which bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from typing_extensions import override

from pulse_temporal.activities.strangers import Strangers
from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import ConfigurationError
from pulse_temporal.temporal.client import is_lazy
from pulse_temporal.workflows.pulse import PulseBranch, PulseRun
from pulse_temporal.workflows.tick import PulseCronTick

STICKY_TIMEOUT = timedelta(seconds=2)
"""How long Temporal waits for the worker that has a run in its cache before it asks others.

With the SDK's 10 s, the runs of a killed worker stood still for that long.
"""

HEARTBEAT_THROTTLE = timedelta(seconds=1)
"""A handler learns of its cancellation with a heartbeat; by default the SDK sends one only after
80 % of the heartbeat timeout."""

CACHED_WORKFLOWS = 2_000
WORKFLOW_SLOTS = 100
NO_GRACE_OF_ITS_OWN = timedelta(days=365)
"""The SDK's grace would begin when a worker ends its polls, which it also does when the gate
closes, long before the process stops. ``Handover`` keeps the grace instead."""

WORKFLOW_THREADS = 2
"""Threads that interpret runs. Under the GIL, more of them would only take turns."""


def build_worker(  # noqa: PLR0913 - all but three are given by name
    client: Client,
    activities: Sequence[Callable[..., object]],
    options: EngineOptions,
    *,
    interpreters: ThreadPoolExecutor,
    strangers: Strangers,
    identity: str,
    on_fatal_error: Callable[[BaseException], Awaitable[None]] | None = None,
) -> Worker:
    """Return a worker for one task queue; the caller runs it.

    It interprets runs without Temporal's sandbox, which guards against mistakes in workflow code
    of applications: they have none here. The tests replay ``workflows/`` inside the sandbox.

    Args:
        client: The same object that starts runs: Temporal starts them eagerly in a worker only
            when both share one client.
        activities: Mirror writes and the dynamic step activity.
        options: Queue, concurrency and bounds.
        interpreters: Threads for workflow code; the caller shuts them down.
        strangers: Recognises the workflows of other databases.
        identity: The name under which Temporal shows this worker.
        on_fatal_error: Awaited when the worker has failed, before it shuts itself down.

    Raises:
        ConfigurationError: The client is lazy, or the SDK or a plugin refuses the options.
    """
    if is_lazy(client):
        raise ConfigurationError(
            "The Temporal client is lazy (Client.connect(..., lazy=True)), and the SDK's workers"
            " refuse such a client. Give create_engine a connected client or an address."
        )
    try:
        return Worker(
            client,
            task_queue=options.task_queue,
            workflows=[PulseRun, PulseBranch, PulseCronTick],
            activities=activities,
            workflow_runner=UnsandboxedWorkflowRunner(),
            workflow_task_executor=interpreters,
            interceptors=[_OwnWorkflowsOnly(strangers)],
            identity=identity,
            max_cached_workflows=CACHED_WORKFLOWS,
            max_concurrent_workflow_tasks=WORKFLOW_SLOTS,
            max_concurrent_activities=options.concurrency,
            max_concurrent_local_activities=options.concurrency,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
            # The first caps 80 % of a heartbeat timeout, the second holds where there is none.
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            graceful_shutdown_timeout=NO_GRACE_OF_ITS_OWN,
            on_fatal_error=on_fatal_error,
        )
    except Exception as error:  # the SDK's checks, and plugins and interceptors of the client
        raise ConfigurationError(
            f"Temporal's worker cannot be made, {type(error).__name__}: {error}"
        ) from error


class _OwnWorkflowsOnly(Interceptor):
    """Fails workflow tasks of runs of another database on the same queue.

    The task fails, not the run: Temporal offers it again until a worker of its own database
    takes it (``tests/integration/test_two_databases.py``).
    """

    def __init__(self, strangers: Strangers) -> None:
        self.strangers = strangers

    @override
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """Return the interceptor that checks a workflow's input before it is interpreted."""
        strangers = self.strangers

        class Check(WorkflowInboundInterceptor):
            @override
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> object:
                for argument in input.args:
                    strangers.check_input(argument)
                return await super().execute_workflow(input)

        return Check
