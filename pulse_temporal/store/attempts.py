"""Attempts: what came of a claimed step. A result that is recorded is never made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.runs import StepAttempt
from pulse_temporal.model.steps import RetryPolicy
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.claims import Claimed, ClaimRef
from pulse_temporal.store.steps import LockedStep, Outcome

DEFAULT_POLICY = RetryPolicy(max_attempts=1, backoff_ms=1_000)
Recording = Literal["recorded", "finished", "refused", "too_large"]
LONGEST_PAUSE = timedelta(days=30)
"""What a handler asks for beyond this is cut: Postgres counts no time without end."""


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
class Hold:
    """An open attempt that is at work although Temporal cannot hear of it.

    Attributes:
        holds_loop: It is this one that blocks the event loop of its worker.
    """

    step_run_id: str
    claim: int
    holds_loop: bool


async def record_success(
    session: Session,
    claim_ref: ClaimRef,
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
        "attempts.record_success",
        **_claim_columns(claim_ref),
        **_log_columns(logs),
        result=succeeded.result,
        answer=succeeded.answer,
        room=context_bytes,
        ends=ends,
        mark=claim_ref.mark,
    )
    if row is None:
        return "refused"
    if not row["fits"]:
        return "too_large"
    return "finished" if row["ends"] else "recorded"


async def record_failure(
    session: Session,
    claim_ref: ClaimRef,
    *,
    failed: FailedAttempt,
    policy: RetryPolicy | None,
    logs: Sequence[LogLine],
) -> Outcome | None:
    """Write a failed attempt; None: canceled, superseded, or another claim has taken over."""
    policy = policy or DEFAULT_POLICY
    row = await session.row(
        "attempts.record_failure",
        **_claim_columns(claim_ref),
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


async def close(
    session: Session,
    step: LockedStep,
    claim: int,
    *,
    ending: Literal["timed_out", "lost"],
    message: str,
) -> None:
    """End an attempt that nobody will record; of these endings only ``timed_out`` counts."""
    await session.run(
        "attempts.close",
        step_run_id=step.id,
        claim=claim,
        status=ending,
        error_message=message,
        run_id=step.run_id,
        tenant_id=step.tenant_id,
    )


async def release(
    session: Session, claimed: Claimed, *, ending: Literal["lost", "released"], message: str
) -> None:
    """End the attempt that this process holds, without a record; it does not count."""
    run = claimed.run
    await session.run(
        "attempts.close",
        step_run_id=claimed.step.id,
        claim=claimed.claim_ref.claim,
        status=ending,
        error_message=message,
        run_id=run.id,
        tenant_id=run.tenant_id,
    )


async def hold(session: Session, holds: Sequence[Hold]) -> None:
    """Say of open attempts that they are at work, for a few seconds."""
    await session.run(
        "attempts.hold",
        step_run_ids=[each.step_run_id for each in holds],
        claims=[each.claim for each in holds],
        hold_loops=[each.holds_loop for each in holds],
    )


async def list_attempts(
    session: Session, run_id: str, *, tenant_id: str | None, path: str | None
) -> list[StepAttempt]:
    """Read the attempts of a run, or of one of its steps, in document order."""
    found = await session.rows(
        "attempts.list_attempts", run_id=run_id, tenant_id=tenant_id, path=path
    )
    return [StepAttempt.model_validate(dict(row.items())) for row in found]


def _claim_columns(claim_ref: ClaimRef) -> dict[str, object]:
    fence = claim_ref.fence
    return {
        "run_id": fence.run_id,
        "tenant_id": fence.tenant_id,
        "path": claim_ref.path,
        "generation": fence.generation,
        "branch": fence.branch,
        "temporal_run_id": fence.temporal_run_id,
        "claim": claim_ref.claim,
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
