"""Decide whether a Temporal execution may speak for a run or a branch.

Exactly one execution speaks for a run, and one for each branch. A reset and a continue-as-new
bring another execution of the same chain: it takes over, under a new epoch, and what the one
before still sends is refused. A reset of a failed run lets it go on in its generation; of a run
that is completed or canceled, it ends itself.
"""

from __future__ import annotations

from typing import Literal

from pulse_temporal.clock import utc_now
from pulse_temporal.contract import Refusal
from pulse_temporal.model.ids import new_id
from pulse_temporal.store import control, runs, timeline
from pulse_temporal.store.control import Control, Fence, Lineage
from pulse_temporal.store.sessions import Session
from pulse_temporal.store.timeline import LogLine


class NotKnownToBeCurrent(Exception):  # noqa: N818 - a question to the caller
    """An execution wants to speak in the place of another one: ask Temporal whether it may.

    Two resets in a row leave an execution between them that may never have spoken; what it still
    sends must not take the run from the newer one.
    """


async def admit(session: Session, fence: Fence, *, ends: bool = False) -> Refusal | None:
    """Lock the control row against everybody else; None lets the execution go on.

    Must be the first statement of a transaction. Every transaction locks in the order control,
    run, steps, attempts, inserts; lineages are written only under the control row.

    Args:
        session: The transaction.
        fence: The execution that asks.
        ends: It only wants to record a failure. A reset may repeat the failure of a run that
            has failed before: there is nothing to reopen then, and nothing to change.

    Raises:
        NotKnownToBeCurrent: It would take over; its fence must say that it is current.
    """
    row = await control.lock(session, fence.run_id, tenant_id=fence.tenant_id)
    if row is None:
        return Refusal(reason="unknown", message=f"There is no run {fence.run_id}.")
    if row.generation != fence.generation:
        return Refusal(
            reason="superseded",
            message=f"Run {fence.run_id} goes on elsewhere: generation {row.generation} acts.",
        )
    if row.closed_as == "canceled":
        return Refusal(reason="canceled", message=f"Run {fence.run_id} is canceled.")
    return await _admit_to_lineage(session, fence, row, ends=ends)


async def _admit_to_lineage(
    session: Session, fence: Fence, row: Control, *, ends: bool
) -> Refusal | None:
    lineage = await control.read_lineage(session, fence)
    if lineage is not None and lineage.temporal_run_id == fence.temporal_run_id:
        return _ended(fence, "failed") if row.closed_as and not ends else None
    parent = await control.read_lineage(session, fence.of_parent) if fence.branch else None
    if lineage is not None and not _may_follow(fence, lineage, parent):
        return _superseded(fence, lineage)
    if lineage is not None and not fence.is_current:
        raise NotKnownToBeCurrent
    parent_follows = parent is not None and _is_next(fence.of_parent, parent)
    resumes = parent_follows or (not fence.branch and lineage is not None)
    status = await runs.lock_run(session, fence.run_id, tenant_id=fence.tenant_id)
    if status in ("completed", "canceled") or (status == "failed" and not resumes):
        return _ended(fence, status)
    if status == "failed":
        if ends:
            return None
        await _reopen(session, fence, row)
    if parent_follows:
        await control.advance_lineage(session, fence.of_parent)
    await (control.advance_lineage if lineage else control.begin)(session, fence)
    return None


def _may_follow(fence: Fence, lineage: Lineage, parent: Lineage | None) -> bool:
    """Say whether an execution may speak after another one has."""
    if fence.temporal_run_id in lineage.earlier_run_ids:
        return False
    if lineage.first_execution_run_id == fence.first_execution_run_id:
        return True
    if parent is None:
        return False
    return parent.temporal_run_id == fence.parent_run_id or _is_next(fence.of_parent, parent)


def _is_next(fence: Fence, lineage: Lineage) -> bool:
    """Say whether an execution of the same chain has not spoken yet."""
    return (
        lineage.first_execution_run_id == fence.first_execution_run_id
        and lineage.temporal_run_id != fence.temporal_run_id
        and fence.temporal_run_id not in lineage.earlier_run_ids
    )


async def _reopen(session: Session, fence: Fence, row: Control) -> None:
    """Let a failed run go on, because its workflow was reset in Temporal."""
    await control.reopen(session, fence.run_id, row=row, generation=fence.generation, why="reset")
    line = LogLine(
        id=new_id("log"),
        level="warn",
        message="The run's workflow was reset in Temporal: the run goes on.",
        data='{"source": "temporal", "repair": "reset"}',
        at=utc_now(),
    )
    await timeline.add_log(
        session, line, run_id=fence.run_id, step_run_id=None, tenant_id=fence.tenant_id
    )


def _ended(fence: Fence, status: Literal["completed", "failed", "canceled"]) -> Refusal:
    reason = "failed" if status == "failed" else "ended"
    return Refusal(reason=reason, message=f"Run {fence.run_id} is {status}.")


def _superseded(fence: Fence, lineage: Lineage) -> Refusal:
    return Refusal(
        reason="superseded",
        message=f"Execution {lineage.temporal_run_id} speaks for {fence.run_id}"
        f"{'/' + fence.branch if fence.branch else ''}.",
    )
