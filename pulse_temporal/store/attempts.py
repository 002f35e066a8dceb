"""Attempts as they are read, and as a worker that cannot speak to Temporal keeps them."""

from __future__ import annotations

from pulse_temporal.model.runs import StepAttempt
from pulse_temporal.store.sessions import Session


async def list_attempts(
    session: Session, run_id: str, *, tenant_id: str | None, path: str | None
) -> list[StepAttempt]:
    """Read the attempts of a run, or of one of its steps, in document order."""
    found = await session.rows("attempts.list_attempts", run_id, tenant_id, path)
    return [StepAttempt.model_validate(dict(row.items())) for row in found]
