"""Step runs and attempts: the ledger. A result that is recorded is never made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from pulse_temporal.model.runs import StepStatus, WorkflowStepRun
from pulse_temporal.model.steps import RetryPolicy
from pulse_temporal.store import rows
from pulse_temporal.store.claims import Ticket
from pulse_temporal.store.control import Fence
from pulse_temporal.store.sessions import Session
from pulse_temporal.store.timeline import LogLine

DEFAULT_POLICY = RetryPolicy(max_attempts=1, backoff_ms=1_000)
Recording = Literal["recorded", "finished", "refused", "too_large"]
LONGEST_PAUSE = timedelta(days=30)
"""What a handler asks for beyond this is cut: Postgres counts no time without end."""


@dataclass(frozen=True, slots=True)
class LockedStep:
    """A step as the slow path of a claim finds it.

    Attributes:
        open_claim: Claim of the newest attempt, when nobody has ended it.
        holder_is_alive: The worker of that attempt was seen after the attempt's deadline.
        is_held: That worker's event loop stands still, and the attempt goes on.
        holds_loop: It is this attempt's handler that blocks it.
        lost: Attempts that are closed as lost, in this generation.
    """

    id: str
    run_id: str
    tenant_id: str
    status: StepStatus
    generation: int
    attempt: int
    max_attempts: int
    error_message: str | None
    result: str | None
    answer: bool | None
    open_claim: int | None
    holder_is_alive: bool
    is_held: bool
    holds_loop: bool
    lost: int

    @property
    def lost_now(self) -> int:
        """Workers lost on this step in this generation, that of the open attempt counted too."""
        return self.lost + (1 if self.open_claim is not None else 0)


@dataclass(frozen=True, slots=True)
class Succeeded:
    """What a handler returned, to record.

    Attributes:
        result: JSON text; None: an action that returned nothing.
        answer: Of a condition; None for actions, whatever their result looks like.
    """

    result: str | None
    answer: bool | None = None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A failed attempt to record.

    Attributes:
        retryable: Another attempt may follow when the policy grants one.
        retry_after: Pause that the handler asked for; replaces the policy's.
        timed_out: It passed its deadline.
        traceback: Where the application's code failed.
        error: What was raised, for the log; it is not recorded.
    """

    message: str
    retryable: bool
    retry_after: timedelta | None = None
    timed_out: bool = False
    traceback: str | None = None
    error: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A step that cannot start.

    Attributes:
        blocked_for: Since the first delivery that could not start it.
        is_new: This is that delivery.
    """

    step_id: str
    blocked_for: timedelta
    is_new: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step stands; ``retry_in_ms`` is set while another attempt waits."""

    status: StepStatus
    attempt: int
    max_attempts: int
    error_message: str | None
    result: str | None
    answer: bool | None
    retry_in_ms: int | None


async def pass_over(session: Session, fence: Fence, path: str, *, reason: str) -> bool:
    """Skip an action of a replay; False when it has ended or the fence may not go on."""
    row = await session.row(
        "steps.pass_over",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        path=path,
        generation=fence.generation,
        branch=fence.branch,
        temporal_run_id=fence.temporal_run_id,
        skipped_by=reason,
    )
    return row is not None


async def lock_step(session: Session, fence: Fence, path: str) -> LockedStep | None:
    """Read a step and its newest attempt for a change."""
    row = await session.row(
        "steps.lock_step", run_id=fence.run_id, tenant_id=fence.tenant_id, path=path
    )
    if row is None:
        return None
    return LockedStep(
        id=row["id"],
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        status=row["status"],
        generation=row["generation"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        error_message=row["error_message"],
        result=row["result"],
        answer=row["answer"],
        open_claim=row["open_claim"],
        holder_is_alive=bool(row["alive"]),
        is_held=bool(row["held"]),
        holds_loop=bool(row["holds_loop"]),
        lost=row["lost"],
    )


async def close_attempt(
    session: Session,
    step: LockedStep,
    claim: int,
    *,
    ending: Literal["timed_out", "lost"],
    message: str,
) -> None:
    """End an attempt that nobody will record; of these endings only ``timed_out`` counts."""
    await session.run(
        "steps.close_attempt",
        step_run_id=step.id,
        claim=claim,
        status=ending,
        error_message=message,
        run_id=step.run_id,
        tenant_id=step.tenant_id,
    )


async def reopen(session: Session, step_id: str, *, attempt_counts: bool) -> None:
    """Give a running step back to the next claim."""
    await session.run("steps.reopen", step_run_id=step_id, attempt_counts=attempt_counts)


async def give_up(session: Session, step_id: str, *, message: str) -> None:
    """Fail a step outside of an attempt."""
    await session.run("steps.give_up", step_run_id=step_id, error_message=message)


async def close_open(
    session: Session,
    run_id: str,
    *,
    tenant_id: str,
    generation: int,
    reason: str,
    block: str | None = None,
) -> list[str]:
    """Fail what is still at work in a run, or below a block; give the paths of those steps."""
    closed = await session.rows(
        "steps.close_open",
        run_id=run_id,
        tenant_id=tenant_id,
        generation=generation,
        block=block,
        reason=reason,
    )
    return [row["path"] for row in closed]


async def block(session: Session, fence: Fence, path: str, *, reason: str) -> Blocked | None:
    """Write why a step cannot start; None when it has started or ended meanwhile."""
    row = await session.row(
        "steps.block",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        path=path,
        generation=fence.generation,
        reason=reason,
    )
    return Blocked(row["id"], row["blocked_for"], is_new=row["is_new"]) if row else None


async def record_success(
    session: Session,
    ticket: Ticket,
    *,
    succeeded: Succeeded,
    logs: Sequence[LogLine],
    context_bytes: int,
    ends: bool,
) -> Recording:
    """Write what a handler returned; with ``ends`` it completes the run.

    Returns:
        ``recorded``; ``finished``: and the run is completed.
        ``refused``: canceled, superseded, or recorded already. ``too_large``: the run's results
        would have more than ``context_bytes`` altogether.
    """
    row = await session.row(
        "steps.record_success",
        **_ticket_columns(ticket),
        **_log_columns(logs),
        result=succeeded.result,
        answer=succeeded.answer,
        room=context_bytes,
        ends=ends,
        mark=ticket.mark,
    )
    if row is None:
        return "refused"
    if not row["fits"]:
        return "too_large"
    return "finished" if row["ends"] else "recorded"


async def record_failure(
    session: Session,
    ticket: Ticket,
    *,
    failed: FailedAttempt,
    policy: RetryPolicy | None,
    logs: Sequence[LogLine],
) -> Outcome | None:
    """Write a failed attempt; None: canceled, superseded, or another claim has taken over."""
    policy = policy or DEFAULT_POLICY
    row = await session.row(
        "steps.record_failure",
        **_ticket_columns(ticket),
        **_log_columns(logs),
        error_message=failed.message,
        retryable=failed.retryable,
        backoff_ms=policy.backoff_ms,
        backoff_coefficient=policy.backoff_coefficient,
        max_backoff_ms=policy.max_backoff_ms,
        asked_pause_ms=_pause_ms(failed.retry_after),
        ending="timed_out" if failed.timed_out else "failed",
        traceback=failed.traceback,
    )
    if row is None:
        return None
    retry_in_ms = row["retry_in_ms"]
    status = "failed" if retry_in_ms is None else "scheduled"
    return Outcome(
        status, row["attempt"], row["max_attempts"], failed.message, None, None, retry_in_ms
    )


async def outcome(session: Session, fence: Fence, path: str) -> Outcome | None:
    """Read how a step stands."""
    row = await session.row(
        "steps.outcome", run_id=fence.run_id, tenant_id=fence.tenant_id, path=path
    )
    if row is None:
        return None
    return Outcome(
        status=row["status"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        error_message=row["error_message"],
        result=row["result"],
        answer=row["answer"],
        retry_in_ms=row["retry_in_ms"],
    )


async def list_steps(
    session: Session, run_id: str, *, tenant_id: str | None
) -> list[WorkflowStepRun]:
    """Read all step runs of a run, in document order."""
    return [
        rows.step(row)
        for row in await session.rows("steps.list_steps", run_id=run_id, tenant_id=tenant_id)
    ]


async def get_step(
    session: Session, run_id: str, *, tenant_id: str, path: str
) -> WorkflowStepRun | None:
    """Read one step run of a run."""
    row = await session.row("steps.get_step", run_id=run_id, tenant_id=tenant_id, path=path)
    return rows.step(row) if row else None


def _ticket_columns(ticket: Ticket) -> dict[str, object]:
    fence = ticket.fence
    return {
        "run_id": fence.run_id,
        "tenant_id": fence.tenant_id,
        "path": ticket.path,
        "generation": fence.generation,
        "branch": fence.branch,
        "temporal_run_id": fence.temporal_run_id,
        "claim": ticket.claim,
    }


def _pause_ms(asked: timedelta | None) -> int | None:
    if asked is None:
        return None
    return round(min(max(asked, timedelta()), LONGEST_PAUSE) / timedelta(milliseconds=1))


def _log_columns(logs: Sequence[LogLine]) -> dict[str, object]:
    return {
        "log_ids": [line.id for line in logs],
        "log_levels": [line.level for line in logs],
        "log_messages": [line.message for line in logs],
        "log_data": [line.data for line in logs],
        "log_times": [line.at for line in logs],
    }
