"""Decide whether a Temporal execution may speak for a run or a branch.

Exactly one execution speaks for a run, and one for each branch. A reset and a continue-as-new
bring another execution of the same chain: it takes over, under a new epoch, and what the one
before still sends is refused.
"""

from __future__ import annotations

from pulse_temporal.contract import Refusal
from pulse_temporal.store import control, runs
from pulse_temporal.store.control import Fence, Lineage
from pulse_temporal.store.database import Session


async def admit(session: Session, fence: Fence) -> Refusal | None:
    """Lock the control row against cancel and retry; None lets the execution go on.

    Must be the first statement of a transaction (lock order: control, run, steps).
    """
    row = await control.share(session, fence.run_id, tenant_id=fence.tenant_id)
    if row is None:
        return Refusal(reason="unknown", message=f"There is no run {fence.run_id}.")
    if row.is_canceled:
        return Refusal(reason="canceled", message=f"Run {fence.run_id} is canceled.")
    if row.generation != fence.generation:
        return Refusal(
            reason="superseded",
            message=f"Run {fence.run_id} has been retried: generation {row.generation} acts.",
        )
    return await _take_over(session, fence)


async def _take_over(session: Session, fence: Fence) -> Refusal | None:
    lineage = await control.lock_lineage(session, fence, branch=fence.branch)
    if lineage is None:
        await control.begin(session, fence)
        return None
    if lineage.temporal_run_id == fence.temporal_run_id:
        return None
    if fence.temporal_run_id in lineage.earlier_run_ids:
        return _superseded(fence, lineage)
    if lineage.first_execution_run_id != fence.first_execution_run_id:
        parent = await _parent_lineage(session, fence)
        if parent is None or parent.temporal_run_id != fence.parent_run_id:
            return _superseded(fence, lineage)
    status = await runs.status_of(session, fence.run_id, tenant_id=fence.tenant_id)
    if status in ("completed", "failed", "canceled"):
        return Refusal(reason="ended", message=f"Run {fence.run_id} is {status}.")
    await control.advance_lineage(session, fence)
    return None


async def _parent_lineage(session: Session, fence: Fence) -> Lineage | None:
    """Give the lineage of the list that the fence's branch belongs to; None for the run itself."""
    if not fence.branch:
        return None
    block = fence.branch.rpartition("/")[0]
    return await control.lock_lineage(session, fence, branch=block.rpartition("/")[0])


def _superseded(fence: Fence, lineage: Lineage) -> Refusal:
    return Refusal(
        reason="superseded",
        message=f"Execution {lineage.temporal_run_id} speaks for {fence.run_id}"
        f"{'/' + fence.branch if fence.branch else ''}.",
    )
