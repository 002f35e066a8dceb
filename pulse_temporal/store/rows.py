"""Turn database rows into models; JSON columns arrive as text."""

from __future__ import annotations

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pulse_temporal.errors import StoreError
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.runs import ExecutionLog, WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.steps import WorkflowStep
from pulse_temporal.model.timeline import TimelineEvent
from pulse_temporal.postgres.connection import Record
from pulse_temporal.store.json_columns import json_object, json_value
from pulse_temporal.store.snapshots import reason, shown_snapshot

Found = TypeVar("Found")
_STEPS: TypeAdapter[list[WorkflowStep]] = TypeAdapter(list[WorkflowStep])


def definition(row: Record) -> WorkflowDefinition:
    """Read a row of ``pulse_workflow_definitions``; what it cannot read it shows as such."""
    fields = dict(row.items())
    stored = json_value(row["steps"])
    fields["config"] = json_object(row["config"])
    try:
        fields["steps"] = _STEPS.validate_python(stored)
    except ValidationError as error:
        fields["steps"] = []
        fields["raw"] = {"steps": stored}
        fields["not_understood"] = reason(error, what="This definition")
    return WorkflowDefinition.model_validate(fields, extra="ignore")


def adoptable_definition(row: Record) -> WorkflowDefinition:
    """Read a definition of the TypeScript Pulse, whose other fields are passed over.

    Raises:
        ValidationError: It cannot be read.
    """
    fields = dict(row.items())
    fields["steps"] = json_value(row["steps"])
    fields["config"] = json_object(row["config"])
    return WorkflowDefinition.model_validate(fields, extra="ignore")


def trigger(row: Record, *, duplicate: bool = False) -> TriggerEnvelope:
    """Read a row of ``pulse_triggers``."""
    fields = {name: value for name, value in row.items() if name != "request_hash"}
    fields["payload"] = json_object(row["payload"])
    return TriggerEnvelope.model_validate(fields | {"duplicate": duplicate})


def run(row: Record) -> WorkflowRun:
    """Read a row of ``pulse_workflow_runs``."""
    fields = dict(row.items())
    fields["definition_snapshot"] = shown_snapshot(row["definition_snapshot"])
    fields["context"] = json_object(row["context"])
    return WorkflowRun.model_validate(fields)


def step(row: Record) -> WorkflowStepRun:
    """Read a row of ``pulse_workflow_step_runs``."""
    fields = {name: value for name, value in row.items() if name != "handler"}
    fields["uses"] = row["handler"] if row["handler"] != row["step_name"] else None
    fields["path"] = row["path"] or str(row["step_index"])
    fields["result"] = json_object(row["result"]) if row["result"] is not None else None
    return WorkflowStepRun.model_validate(fields)


def event(row: Record) -> TimelineEvent:
    """Read a row of ``pulse_run_events``."""
    return TimelineEvent.model_validate(
        {**dict(row.items()), "detail": json_object(row["detail"])}
    )


def log(row: Record) -> ExecutionLog:
    """Read a row of ``pulse_execution_logs``."""
    fields = dict(row.items())
    fields["data"] = json_object(row["data"]) if row["data"] is not None else None
    return ExecutionLog.model_validate(fields)


def required(row: Found | None, what: str) -> Found:
    """Return what a statement always finds; raise StoreError when it found nothing."""
    if row is None:
        raise StoreError(f"Postgres gave no row for {what}.")
    return row
