"""Step runs: how each step of a run stands, and what moves it on without a handler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pulse_temporal.model.runs import StepStatus, WorkflowStepRun
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows
from pulse_temporal.store.fence import Fence

Reopening = Literal["retry", "reset", "restart"]

SOURCES: Mapping[Reopening, str | None] = {
    "retry": None,
    "reset": "temporal",
    "restart": "reconciler",
}
"""Who lets a run go on: the application, an operator in Temporal, or the reconciler."""


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


async def reopen(session: Session, step_id: str, *, attempt_counts: bool) -> None:
    """Give a running step back to the next claim."""
    await session.run("steps.reopen", step_run_id=step_id, attempt_counts=attempt_counts)


async def give_up(session: Session, step_id: str, *, message: str) -> None:
    """Fail a step outside of an attempt."""
    await session.run("steps.give_up", step_run_id=step_id, error_message=message)


async def reopen_all(
    session: Session,
    run_id: str,
    *,
    tenant_id: str,
    generation: int,
    why: Reopening,
    by: str | None,
) -> None:
    """Give what has not ended well to the generation that goes on; the run's row is locked.

    Args:
        session: The transaction that holds the locks.
        run_id: The run.
        tenant_id: Its tenant.
        generation: That goes on.
        why: For the timeline.
        by: The person who retries, for the timeline.
    """
    await session.run(
        "steps.reopen_all",
        run_id=run_id,
        tenant_id=tenant_id,
        generation=generation,
        why=why,
        source=SOURCES[why],
        by=by,
    )


async def close_open(
    session: Session,
    run_id: str,
    *,
    tenant_id: str,
    generation: int,
    reason: str,
    parallel: str | None = None,
) -> list[str]:
    """Fail what is still at work in a run, or below a parallel step; return those paths."""
    closed = await session.rows(
        "steps.close_open",
        run_id=run_id,
        tenant_id=tenant_id,
        generation=generation,
        parallel=parallel,
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


async def start_delay(
    session: Session, fence: Fence, path: str, *, now: datetime, until: datetime
) -> datetime | None:
    """Begin a delay, or find it begun; give when it ends."""
    row = await session.row(
        "steps.start_delay",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        path=path,
        now=now,
        scheduled_for=until,
    )
    return row["scheduled_for"] if row else None


async def end_delay(session: Session, fence: Fence, path: str, *, now: datetime) -> list[str]:
    """End a delay; give its path, or nothing when it had ended."""
    changed = await session.run(
        "steps.end_delay",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        path=path,
        now=now,
    )
    return [path] if changed else []


async def skip(session: Session, fence: Fence, paths: Sequence[str], *, by: str) -> list[str]:
    """Pass over pending steps and all below them; give the paths of those it changed."""
    changed = await session.rows(
        "steps.skip",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        paths=paths,
        skipped_by=by,
    )
    return [row["path"] for row in changed]


async def start_parallel(session: Session, fence: Fence, path: str) -> None:
    """Begin a parallel step; does nothing when it runs."""
    await session.run(
        "steps.start_parallel",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        path=path,
    )


async def finish_parallel(
    session: Session, fence: Fence, path: str, *, error: str | None
) -> list[str]:
    """End a parallel step and merge what its branches recorded into the run's context.

    Gives its path, or nothing when it had ended.
    """
    status = "failed" if error else "completed"
    changed = await session.rows(
        "steps.finish_parallel",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        generation=fence.generation,
        path=path,
        status=status,
        error_message=error,
    )
    return [path] if changed else []


async def ended_in_list(session: Session, fence: Fence, prefix: Sequence[int]) -> list[int]:
    """Read which steps of a list need no work any more, by index."""
    found = await session.rows(
        "steps.ended_in_list", run_id=fence.run_id, tenant_id=fence.tenant_id, prefix=prefix
    )
    return [row["index"] for row in found]


async def ended_branches(
    session: Session, fence: Fence, prefix: Sequence[int]
) -> list[tuple[int, int]]:
    """Read which branches need no work any more: index of the parallel step, branch number."""
    found = await session.rows(
        "steps.ended_branches", run_id=fence.run_id, tenant_id=fence.tenant_id, prefix=prefix
    )
    return [(row["index"], row["branch"]) for row in found]
