"""Decide whether a Temporal execution may write for a run or a branch.

Of a run, and of each of its branches, one execution writes at a time: the *current* one of its
lineage. A reset and a continue-as-new bring another execution of the same chain. That one takes
over, and what the one before still sends is refused. Without this, a worker that was frozen
during a reset would record results that the new execution does not know of
(``tests/faults/test_resets.py``).

What is decided is in two pure functions, ``judge_execution`` and ``judge_run``; ``admit`` reads
the rows for them and writes what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pulse_temporal.clock import utc_now
from pulse_temporal.contract import Refusal
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.runs import RunStatus
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import control, lineages, runs, timeline
from pulse_temporal.store.control import Control
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.lineages import Lineage


class NotKnownToBeCurrent(Exception):  # noqa: N818 - a question to the caller
    """An execution wants to take over from another one: ask Temporal whether it is the newest.

    Two resets in a row leave an execution between them that may never have written. What it still
    sends must not take the run from the newer one.
    """


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The execution may become the current one, if the run's status allows it.

    Attributes:
        is_first: Nobody has written for this run or branch in this generation yet.
        with_parent: The execution that started this branch takes over too. It was reset along
            with the branch, and has not written itself yet.
        resumes: It comes from a reset or a continue-as-new, so it may let a failed run go on.
    """

    is_first: bool
    with_parent: bool
    resumes: bool


Verdict: TypeAlias = TakeOver | Literal["go on", "ask Temporal", "run has failed", "superseded"]


async def admit(session: Session, fence: Fence, *, only_failure: bool = False) -> Refusal | None:
    """Lock the control row against everybody else; None lets the execution go on.

    Must be the first statement of a transaction. Every transaction locks in the order control,
    run, steps, attempts, inserts; lineages are written only under the control row.

    Args:
        session: The transaction.
        fence: The execution that asks.
        only_failure: It only wants to record a failure. A reset may repeat the failure of a run
            that has failed before: there is nothing to reopen then, and nothing to change.

    Raises:
        NotKnownToBeCurrent: It would take over; its fence must say that it is current.
    """
    # This lock is what makes a cancel final: who comes after it sees closed_as, and who holds it
    # is waited for by the cancel.
    row = await control.lock(session, fence.run_id, tenant_id=fence.tenant_id)
    if row is None or row.generation != fence.generation or row.closed_as == "canceled":
        return refuse_closed(fence, row)

    # Only under that lock, as two executions that ask at the same moment would both find the
    # other one missing, and both begin.
    lineage = await lineages.read(session, fence)
    parent = await lineages.read(session, fence.of_parent) if fence.branch else None
    verdict = judge_execution(
        fence,
        lineage,
        parent=parent,
        has_failed=row.closed_as == "failed",
        only_failure=only_failure,
    )
    match verdict:
        case "go on":
            return None
        case "ask Temporal":
            raise NotKnownToBeCurrent
        case "run has failed":
            return refuse_ended(fence, "failed")
        case "superseded":
            return refuse_superseded(fence, lineage)
        case TakeOver():
            return await _take_over(session, fence, row, verdict, only_failure=only_failure)


def judge_execution(
    fence: Fence,
    lineage: Lineage | None,
    *,
    parent: Lineage | None,
    has_failed: bool,
    only_failure: bool,
) -> Verdict:
    """Decide by the lineage alone whether an execution may write.

    | written so far by | the execution | verdict |
    |---|---|---|
    | itself | and the run has not failed, or it only records a failure | go on |
    | itself | and the run has failed | run has failed |
    | nobody | any | take over |
    | another | wrote before that one | superseded |
    | another | neither of its chain, nor of a parent's that took over | superseded |
    | another | may follow it, and Temporal was not asked | ask Temporal |
    | another | may follow it, and is the newest | take over |

    Args:
        fence: The execution that asks.
        lineage: Who has written for its run or branch in this generation.
        parent: The same for the execution that started a branch; None for the run itself.
        has_failed: The run has, and nobody has let it go on since.
        only_failure: The execution only wants to record a failure.
    """
    if lineage is not None and lineage.temporal_run_id == fence.temporal_run_id:
        return "run has failed" if has_failed and not only_failure else "go on"
    if lineage is not None and not _may_follow(fence, lineage, parent):
        return "superseded"
    if lineage is not None and not fence.is_current:
        return "ask Temporal"
    # A branch that was reset may write before its parent does: the parent's earlier execution
    # must not write after it.
    with_parent = parent is not None and _is_next(fence.of_parent, parent)
    return TakeOver(
        is_first=lineage is None,
        with_parent=with_parent,
        resumes=with_parent or (not fence.branch and lineage is not None),
    )


def judge_run(
    status: RunStatus | None, *, resumes: bool, only_failure: bool
) -> Literal["take over", "reopen", "nothing to do", "refuse"]:
    """Decide by the run's status what becomes of an execution that would take over.

    | status | the execution | verdict |
    |---|---|---|
    | completed, canceled | any | refuse |
    | failed | does not resume | refuse |
    | failed | resumes, and only records a failure again | nothing to do |
    | failed | resumes | reopen the run, and take over |
    | any other | any | take over |
    """
    if status in ("completed", "canceled") or (status == "failed" and not resumes):
        return "refuse"
    if status != "failed":
        return "take over"
    return "nothing to do" if only_failure else "reopen"


async def _take_over(
    session: Session, fence: Fence, row: Control, wanted: TakeOver, *, only_failure: bool
) -> Refusal | None:
    """Make the execution the current one, as far as the run's status allows it."""
    # The run after the control row, in the order of all transactions: another order deadlocks
    # with a cancel (tests/faults/test_lock_order.py).
    status = await runs.lock_run(session, fence.run_id, tenant_id=fence.tenant_id)
    verdict = judge_run(status, resumes=wanted.resumes, only_failure=only_failure)
    if verdict == "refuse":
        return refuse_ended(fence, status)
    if verdict == "nothing to do":
        return None
    if verdict == "reopen":
        await _reopen(session, fence, row)
    # The parent first, as its earlier execution may be about to write: from here on it is refused.
    if wanted.with_parent:
        await lineages.advance(session, fence.of_parent)
    if wanted.is_first:
        await lineages.begin(session, fence)
    else:
        await lineages.advance(session, fence)
    return None


def _may_follow(fence: Fence, lineage: Lineage, parent: Lineage | None) -> bool:
    """Return whether an execution may write after another one has."""
    # It has written before another one took over: a frozen worker that wakes up.
    if fence.temporal_run_id in lineage.earlier_run_ids:
        return False
    # A reset and a continue-as-new keep the id of the first execution of their chain.
    if lineage.first_execution_run_id == fence.first_execution_run_id:
        return True
    if parent is None:
        return False
    # A parent that was reset starts its branches anew, as chains of their own.
    return parent.temporal_run_id == fence.parent_run_id or _is_next(fence.of_parent, parent)


def _is_next(fence: Fence, lineage: Lineage) -> bool:
    """Return whether an execution belongs to the chain, and has not written yet."""
    return (
        lineage.first_execution_run_id == fence.first_execution_run_id
        and lineage.temporal_run_id != fence.temporal_run_id
        and fence.temporal_run_id not in lineage.earlier_run_ids
    )


async def _reopen(session: Session, fence: Fence, row: Control) -> None:
    """Open a failed run again, because its workflow was reset in Temporal."""
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


def refuse_closed(fence: Fence, row: Control | None) -> Refusal:
    """Return why nobody, or no execution of this generation, may write."""
    if row is None:
        return Refusal(reason="unknown", message=f"There is no run {fence.run_id}.")
    if row.generation != fence.generation:
        return Refusal(
            reason="superseded",
            message=f"Run {fence.run_id} goes on elsewhere: generation {row.generation} acts.",
        )
    return Refusal(reason="canceled", message=f"Run {fence.run_id} is canceled.")


def refuse_ended(fence: Fence, status: str | None) -> Refusal:
    """Return that the run is over."""
    reason = "failed" if status == "failed" else "ended"
    return Refusal(reason=reason, message=f"Run {fence.run_id} is {status}.")


def refuse_superseded(fence: Fence, lineage: Lineage | None) -> Refusal:
    """Return that another execution writes for this run or branch."""
    writer = lineage.temporal_run_id if lineage else "another one"
    subject = f"{fence.run_id}/{fence.branch}" if fence.branch else fence.run_id
    return Refusal(reason="superseded", message=f"Execution {writer} speaks for {subject}.")
