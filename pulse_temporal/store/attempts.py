"""Attempts as they are read, and as a worker that cannot speak to Temporal keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulse_temporal.model.runs import StepAttempt
from pulse_temporal.store.sessions import Session


async def list_attempts(
    session: Session, run_id: str, *, tenant_id: str | None, path: str | None
) -> list[StepAttempt]:
    """Read the attempts of a run, or of one of its steps, in document order."""
    found = await session.rows(
        "attempts.list_attempts", run_id=run_id, tenant_id=tenant_id, path=path
    )
    return [StepAttempt.model_validate(dict(row.items())) for row in found]


@dataclass(frozen=True, slots=True)
class Hold:
    """An open attempt that is at work although Temporal cannot hear of it.

    Attributes:
        holds_loop: It is this one that blocks the event loop of its worker.
    """

    step_run_id: str
    claim: int
    holds_loop: bool


async def hold(session: Session, holds: Sequence[Hold]) -> None:
    """Say of open attempts that they are at work, for a few seconds."""
    await session.run(
        "attempts.hold",
        step_run_ids=[each.step_run_id for each in holds],
        claims=[each.claim for each in holds],
        hold_loops=[each.holds_loop for each in holds],
    )
