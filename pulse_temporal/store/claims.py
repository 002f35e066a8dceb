"""Claims of steps: who works on one, with all that its handler needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pulse_temporal.errors import NotUnderstoodError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.model.runs import WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows
from pulse_temporal.store.contexts import KeptResults, KnownResults
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.runs import check_dialect
from pulse_temporal.store.snapshots import own_snapshot, snapshot


@dataclass(frozen=True, slots=True)
class ClaimRef:
    """Lets its holder record one delivery of a step: who, which step, which claim of it.

    Attributes:
        mark: Of the transaction in which alone a success may be recorded; None: any.
    """

    fence: Fence
    path: str
    claim: int
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """The run of a claimed step: what Pulse itself needs, and the rest for who asks.

    Attributes:
        read: Makes the whole run, with its definition and results, which its caller may change.
            That takes the longer the more the run holds, and most handlers never look.
    """

    id: str
    tenant_id: str
    is_replay: bool
    is_dry_run: bool
    updated_at: datetime
    read: Callable[[], WorkflowRun]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A step that this process may work on, with all that its handler needs.

    Attributes:
        definition: What the run follows, for Pulse itself; shared, never for handlers.
        step: For the handler, which may change what it holds; so is trigger.
    """

    definition: DefinitionSnapshot
    run: ClaimedRun
    step: WorkflowStepRun
    trigger: TriggerEnvelope
    claim_ref: ClaimRef


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """On what terms a step is claimed.

    Attributes:
        worker_id: Who claims it.
        timeout: Length of the attempt that begins with the claim.
        waited_after: Number of the failed attempt whose pause the execution has waited out.
        opens_list: The execution begins with it: it must be the first to speak for the list.
    """

    worker_id: str
    timeout: timedelta
    waited_after: int = 0
    opens_list: bool = False


async def claim(
    session: Session,
    fence: Fence,
    path: str,
    *,
    terms: ClaimTerms,
    kept: KeptResults | None = None,
) -> Claimed | None:
    """Take a step that nobody works on; None leaves the reason to ``lock_step``.

    Args:
        session: Outside of a transaction.
        fence: The execution that asks.
        path: The step.
        terms: On what terms.
        kept: Results of the run that need not be read again, and what this claim reads.

    Raises:
        NotUnderstoodError: The run needs a newer release. The step is as it was before, so that a
            worker of that release can take it.
    """
    kept = kept or KeptResults()
    known = kept.before(fence.run_id, path)
    row = await session.row(
        "claims.claim",
        run_id=fence.run_id,
        tenant_id=fence.tenant_id,
        path=path,
        generation=fence.generation,
        branch=fence.branch,
        temporal_run_id=fence.temporal_run_id,
        worker_id=terms.worker_id,
        timeout=terms.timeout,
        waited_after=terms.waited_after,
        first_execution_run_id=fence.first_execution_run_id if terms.opens_list else None,
        known_depth=known.depth,
        known_index=known.index,
        known_mark=known.mark,
        dialect=DIALECT,
    )
    if row is None:
        await check_dialect(session, fence)
        return None
    try:
        return _claimed(row, fence, results=kept.learn(fence.run_id, path, known, row))
    except NotUnderstoodError:
        await session.run(
            "claims.unclaim",
            step_run_id=row["s_id"],
            claim=row["claim"],
            run_id=fence.run_id,
            generation=fence.generation,
            branch=fence.branch,
            temporal_run_id=fence.temporal_run_id if terms.opens_list else None,
        )
        raise


async def give_back(session: Session, claimed: Claimed, *, reason: str) -> None:
    """Return a claimed step to a later delivery; the attempt does not count."""
    run = claimed.run
    await session.run(
        "claims.give_back",
        step_run_id=claimed.step.id,
        claim=claimed.claim_ref.claim,
        reason=reason,
        run_id=run.id,
        tenant_id=run.tenant_id,
    )


def _claimed(row: Record, fence: Fence, *, results: KnownResults) -> Claimed:
    definition = snapshot(row["r_definition_snapshot"])
    owner = {"tenant_id": fence.tenant_id}
    run = ClaimedRun(
        id=fence.run_id,
        tenant_id=fence.tenant_id,
        is_replay=row["r_is_replay"],
        is_dry_run=row["r_is_dry_run"],
        updated_at=row["r_updated_at"],
        read=lambda: _run(row, fence, results),
    )
    step = _columns(row, "s_")
    handler = step.pop("handler")
    step |= {"uses": handler if handler != step["step_name"] else None}
    step |= {
        "run_id": fence.run_id,
        "generation": fence.generation,
        "attempt": row["s_attempt"],
    }
    trigger = owner | _columns(row, "t_") | {"payload": rows.json_object(row["t_payload"])}
    return Claimed(
        definition=definition,
        run=run,
        step=WorkflowStepRun.model_validate(owner | step),
        trigger=TriggerEnvelope.model_validate(trigger),
        claim_ref=ClaimRef(fence=fence, path=row["s_path"], claim=row["claim"]),
    )


def _run(row: Record, fence: Fence, results: KnownResults) -> WorkflowRun:
    return WorkflowRun.model_validate(
        _columns(row, "r_")
        | {
            "id": fence.run_id,
            "tenant_id": fence.tenant_id,
            "trigger_id": row["t_id"],
            "definition_snapshot": own_snapshot(row["r_definition_snapshot"]),
            "generation": fence.generation,
            "context": results.read(),
        }
    )


def _columns(row: Record, prefix: str) -> dict[str, object]:
    return {
        name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)
    }
