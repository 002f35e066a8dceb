"""Runs and steps as lists and pages show them: no contexts, snapshots, payloads or results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue, TypeAdapter, ValidationError

from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES, TERMINAL_STEP_STATUSES, ExecutionLog
from pulse_temporal.model.segments import AttemptSpan, RunSpan
from pulse_temporal.model.views import Attention, CurrentStep, RunSummary, StepSummary
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows
from pulse_temporal.store.json_columns import json_value
from pulse_temporal.store.snapshots import shown_snapshot

LATE_AFTER = timedelta(seconds=30)
"""A run that no worker has taken for so long is late."""

MOST_LINES = 500

_VERSION: TypeAdapter[int] = TypeAdapter(int)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the page of a run shows besides its summary.

    Attributes:
        definition_version_now: None: the definition is deleted.
        is_foreign: The TypeScript Pulse owns the run.
        live_workers: That take from its queue.
        worker_seen_at: When one of those was seen last; None: none is on record.
        restarted_at: When the reconciler started it again; None: never.
    """

    summary: RunSummary
    definition_version_now: int | None
    source: str
    caused_by_run_id: str | None
    depth: int
    replay_of_run_id: str | None
    cancel_reason: str | None
    task_queue: str | None
    temporal_run_id: str | None
    is_foreign: bool
    live_workers: int
    worker_seen_at: datetime | None
    restarted_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What is on record about one step, but for its attempts and lines.

    Attributes:
        run: When its run started and ended.
        error_message: Not cut.
        snapshot: The definition that its run has frozen.
        context_bytes: Of the results that its handler sees.
    """

    summary: StepSummary
    run: RunSpan
    result: JsonValue
    error_message: str | None
    snapshot: DefinitionSnapshot
    context_bytes: int


async def summaries(
    session: Session, run_ids: Sequence[str], *, tenant_id: str | None
) -> list[RunSummary]:
    """Read runs by their ids, in this order; those that do not exist are left out."""
    if not run_ids:
        return []
    found = await session.rows(
        "run_views.summaries", run_ids=run_ids, tenant_id=tenant_id, late_after=LATE_AFTER
    )
    return [_summary(row, version=row["definition_version"]) for row in found]


async def view(
    session: Session, run_id: str, *, tenant_id: str | None, silence: timedelta
) -> RunFacts | None:
    """Read one run; None when there is none.

    Args:
        session: Any connection.
        run_id: Which run.
        tenant_id: None for any.
        silence: After which a worker counts as gone.
    """
    row = await session.row(
        "run_views.view",
        run_id=run_id,
        tenant_id=tenant_id,
        late_after=LATE_AFTER,
        silence=silence,
    )
    if row is None:
        return None
    return RunFacts(
        summary=_summary(row, version=_version(row["definition_version"])),
        definition_version_now=row["definition_version_now"],
        source=row["source"],
        caused_by_run_id=row["caused_by_run_id"],
        depth=row["depth"],
        replay_of_run_id=row["replay_of_run_id"],
        cancel_reason=row["cancel_reason"],
        task_queue=row["task_queue"],
        temporal_run_id=row["temporal_run_id"],
        is_foreign=row["engine"] is None,
        live_workers=row["live_workers"],
        worker_seen_at=row["worker_seen_at"],
        restarted_at=row["restarted_at"],
        updated_at=row["updated_at"],
    )


async def steps(session: Session, run_id: str, *, tenant_id: str | None) -> list[StepSummary]:
    """Read the steps of a run in document order, without segments and counts of lines."""
    found = await session.rows("run_views.steps", run_id=run_id, tenant_id=tenant_id)
    return [_step(row) for row in found]


async def spans(
    session: Session, run_id: str, *, tenant_id: str | None
) -> Mapping[str, Sequence[AttemptSpan]]:
    """Read when the attempts of a run's steps began and ended, by the steps' ids."""
    found = await session.rows("run_views.spans", run_id=run_id, tenant_id=tenant_id)
    of_steps: dict[str, list[AttemptSpan]] = defaultdict(list)
    for row in found:
        of_steps[row["step_run_id"]].append(
            AttemptSpan(
                claim=row["claim"],
                attempt=row["attempt"],
                generation=row["generation"],
                status=row["status"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
            )
        )
    return of_steps


async def log_counts(
    session: Session, run_id: str, *, tenant_id: str | None
) -> Mapping[str, tuple[int, int]]:
    """Read how many lines and warnings a run's steps have written, by the steps' ids."""
    found = await session.rows("run_views.log_counts", run_id=run_id, tenant_id=tenant_id)
    return {row["step_run_id"]: (row["lines"], row["warnings"]) for row in found}


async def step(
    session: Session, run_id: str, path: str, *, tenant_id: str | None
) -> StepFacts | None:
    """Read one step with its result; None when there is none."""
    row = await session.row("run_views.step", run_id=run_id, path=path, tenant_id=tenant_id)
    if row is None:
        return None
    lines = {"log_lines": row["lines"], "warnings": row["warnings"]}
    return StepFacts(
        summary=_step(row).model_copy(update=lines),
        run=RunSpan(started_at=row["run_started_at"], ended_at=row["run_ended_at"]),
        result=json_value(row["result"]) if row["result"] is not None else None,
        error_message=row["whole_error"],
        snapshot=shown_snapshot(row["definition_snapshot"]),
        context_bytes=row["context_bytes"],
    )


async def step_logs(
    session: Session,
    run_id: str,
    found: StepSummary,
    *,
    tenant_id: str | None,
    delivery: int | None,
) -> list[ExecutionLog]:
    """Read the lines of one delivery of a step, in order.

    Args:
        session: Any connection.
        run_id: The run.
        found: Its step.
        tenant_id: None for any.
        delivery: Position among the deliveries of the step, from 1; None for all lines.
    """
    lines = await session.rows(
        "run_views.step_logs",
        run_id=run_id,
        path=found.path,
        step_run_id=found.id,
        tenant_id=tenant_id,
        delivery=delivery,
        row_limit=MOST_LINES,
    )
    return [rows.log(row) for row in lines]


def _summary(row: Record, *, version: int | None) -> RunSummary:
    started_at, ended_at = row["started_at"], row["ended_at"]
    return RunSummary(
        id=row["id"],
        tenant_id=row["tenant_id"],
        definition_id=row["definition_id"],
        definition_name=row["definition_name"],
        definition_version=version,
        signal_id=row["signal_id"],
        signal_type=row["signal_type"],
        resource_type=row["resource_type"],
        resource_id=row["resource_id"],
        environment=row["environment"],
        status=row["status"],
        attention=_attention_of_run(row),
        current_step=_current(row),
        steps_done=row["steps_done"],
        steps=row["steps"],
        error_message=row["error_message"],
        is_replay=row["is_replay"],
        is_dry_run=row["is_dry_run"],
        generation=row["generation"],
        created_at=row["created_at"],
        started_at=started_at,
        ended_at=ended_at,
        queued_ms=_ms(row["created_at"], started_at),
        duration_ms=_ms(started_at or row["created_at"], ended_at),
    )


def _attention_of_run(row: Record) -> Attention | None:
    if row["status"] in TERMINAL_RUN_STATUSES:
        return None
    if row["current_blocked_reason"] is not None:
        return "blocked"
    if row["current_is_retrying"]:
        return "retrying"
    return "late" if row["is_late"] else None


def _current(row: Record) -> CurrentStep | None:
    if row["current_path"] is None:
        return None
    fields = {
        name.removeprefix("current_"): value
        for name, value in row.items()
        if name.startswith("current_") and name != "current_is_retrying"
    }
    return CurrentStep.model_validate(fields)


def _step(row: Record) -> StepSummary:
    return StepSummary(
        id=row["id"],
        path=row["path"],
        name=row["name"],
        type=row["type"],
        uses=row["handler"] if row["handler"] != row["name"] else None,
        status=row["status"],
        attention=_attention_of_step(row),
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        next_attempt_at=row["next_attempt_at"],
        scheduled_for=row["scheduled_for"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        error_message=row["error_message"],
        skipped_by=row["skipped_by"],
        blocked_reason=row["blocked_reason"],
        blocked_since=row["blocked_since"] if row["blocked_reason"] is not None else None,
        result_bytes=row["result_bytes"],
        generation=row["generation"],
    )


def _attention_of_step(row: Record) -> Attention | None:
    if row["status"] in TERMINAL_STEP_STATUSES:
        return None
    if row["blocked_reason"] is not None:
        return "blocked"
    is_retrying = row["retrying_since"] is not None or row["next_attempt_at"] is not None
    return "retrying" if is_retrying else None


def _ms(since: datetime | None, until: datetime | None) -> int | None:
    """Return a length of time in milliseconds; clocks that disagree make it 0, not negative."""
    if since is None or until is None:
        return None
    return max(0, int((until - since) / timedelta(milliseconds=1)))


def _version(text: str | None) -> int | None:
    """Return the version that a snapshot names; None for one that is no number."""
    if text is None:
        return None
    try:
        return _VERSION.validate_json(text)
    except ValidationError:
        return None
