"""Start and cancel the workflows of runs."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    Priority,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import contract
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import InterpreterInput, Scope
from pulse_temporal.model.addresses import run_page
from pulse_temporal.model.starts import StartableRun
from pulse_temporal.model.steps import (
    DelayStep,
    walk,
)
from pulse_temporal.skeleton import skeleton, terms, whole_ms
from pulse_temporal.temporal.attributes import search_attributes

PERMANENT = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.RESOURCE_EXHAUSTED})
"""Statuses with which Temporal refuses a start for good, but not only those; see
``_is_permanent``."""

OURS_TO_FIX = "search attribute"
"""A start with an unknown search attribute is an INVALID_ARGUMENT too, but it succeeds once the
attribute is registered."""

TOO_LARGE = ("exceeds limit", "larger than max")
"""RESOURCE_EXHAUSTED also means "too many requests", which passes; of an input that is too large,
only the text tells."""


class StartRefusedError(Exception):
    """Temporal refuses this start for good; the message says why."""


async def start_run(
    client: Client,
    start: StartableRun,
    options: EngineOptions,
    *,
    database: str | None,
    eager: bool,
) -> None:
    """Start a run's workflow; a second start of the same generation does nothing.

    Args:
        client: Of Temporal.
        start: The run.
        options: Of the engine.
        database: Id of the database that has the run.
        eager: Let this process's worker begin it at once, past Temporal's fair queue.

    Raises:
        StartRefusedError: Temporal refuses it for good.
        RPCError: Any other failure; try again.
    """
    snapshot = start.snapshot
    task_timeout = options.task_timeout
    job = InterpreterInput(
        scope=Scope(
            run_id=start.run_id,
            tenant_id=start.tenant_id,
            generation=start.generation,
            is_replay=start.is_replay,
            is_dry_run=start.is_dry_run,
            database=database,
        ),
        title=snapshot.name,
        steps=skeleton(snapshot.steps),
        has_delays=any(isinstance(step, DelayStep) for _, step in walk(snapshot.steps)),
        task_timeout_ms=whole_ms(task_timeout),
        terms=terms(options),
    )
    try:
        await client.start_workflow(
            contract.RUN_WORKFLOW,
            job,
            id=contract.workflow_id(start.run_id, start.generation),
            task_queue=options.task_queue,
            task_timeout=task_timeout,
            # A start command may be executed twice, by its emitter and by a relay. So a workflow
            # that is open is joined, and one that has closed is not started again.
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=search_attributes(
                {
                    contract.TENANT_ATTRIBUTE: start.tenant_id,
                    contract.DEFINITION_ATTRIBUTE: start.definition_id,
                    contract.TRIGGER_ATTRIBUTE: start.trigger_id,
                }
            ),
            priority=Priority(fairness_key=contract.fairness_key(start.tenant_id)),
            static_summary=f"{snapshot.name} · {snapshot.trigger_type}",
            static_details=_details(start, pages_url=options.pages_url),
            request_eager_start=eager,  # no first trip through the queue; refused harmlessly
            rpc_timeout=options.temporal_timeout,
        )
    except WorkflowAlreadyStartedError:  # and closed: this start came too late
        return
    except RPCError as error:
        if _is_permanent(error):
            raise StartRefusedError(f"Temporal refused to start the run: {error}") from error
        raise


async def cancel_run(client: Client, run_id: str, *, generation: int, timeout: timedelta) -> bool:
    """Ask Temporal to cancel a run's workflow; return False when there is no such workflow.

    Raises:
        RPCError: Any failure but NOT_FOUND; try again.
    """
    handle = client.get_workflow_handle(contract.workflow_id(run_id, generation))
    try:
        await handle.cancel(rpc_timeout=timeout)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def terminate_run(
    client: Client, workflow_id: str, *, reason: str, timeout: timedelta
) -> None:
    """End a run's workflow at once; one that is closed or unknown is left as it is.

    Raises:
        RPCError: Any failure but NOT_FOUND; try again.
    """
    handle = client.get_workflow_handle(workflow_id)
    try:
        await handle.terminate(reason=reason, rpc_timeout=timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


async def current_run_id(client: Client, workflow_id: str, *, timeout: timedelta) -> str | None:
    """Return the Temporal run id of a workflow's newest execution; None when there is none.

    Raises:
        RPCError: Any failure but NOT_FOUND; try again.
    """
    try:
        found = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return found.run_id


async def end_branch(
    client: Client, workflow_id: str, *, parent_run_id: str, timeout: timedelta
) -> None:
    """Terminate the workflow of a branch that another execution than ``parent_run_id`` started.

    After a reset, the new execution ends the branches of the old one before it starts its own
    under the same ids. A delivery that comes twice must not end those.

    Raises:
        RPCError: Any failure but NOT_FOUND; try again.
    """
    try:
        found = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=timeout)
        if found.raw_description.workflow_execution_info.parent_execution.run_id == parent_run_id:
            return
        # By run id: a branch that is started in the meantime must not be hit.
        handle = client.get_workflow_handle(workflow_id, run_id=found.run_id)
        await handle.terminate(reason="its parent was reset", rpc_timeout=timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


def _is_permanent(error: RPCError) -> bool:
    """Return whether Temporal would refuse the same start again, however often it is tried."""
    text = str(error).lower()
    if error.status not in PERMANENT or OURS_TO_FIX in text:
        return False
    return error.status == RPCStatusCode.INVALID_ARGUMENT or any(
        mark in text for mark in TOO_LARGE
    )


def _details(start: StartableRun, *, pages_url: str) -> str:
    """Return the facts of a run as Markdown, for Temporal's UI; no name can end its code span."""
    lines = {
        "Run": start.run_id,
        "Tenant": start.tenant_id,
        "Definition": f"{start.definition_id}, version {start.snapshot.version}",
        "Trigger": start.trigger_id,
        "Generation": str(start.generation),
    }
    facts = [f"- **{name}** `{value.replace('`', chr(39))}`" for name, value in lines.items()]
    if pages_url:
        facts.append(f"- [Open in Pulse]({run_page(pages_url, start.tenant_id, start.run_id)})")
    return "\n".join(facts)
