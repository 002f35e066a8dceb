"""Turn database rows into models; JSON columns arrive as text."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from pulse_temporal.errors import StoreError
from pulse_temporal.model.canonical import MAX_INT, MIN_INT
from pulse_temporal.model.definitions import DefinitionSnapshot, WorkflowDefinition
from pulse_temporal.model.runs import ExecutionLog, WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.timeline import TimelineEvent
from pulse_temporal.model.values import JsonObject
from pulse_temporal.store.connection import Record

ADOPTED = "(adopted)"
"""Stands for what a snapshot of the TypeScript Pulse does not say."""

Found = TypeVar("Found")
PREVIEW_CHARS = 1_000

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_LONG_NUMBER = re.compile("[0-9]{19}")


def json_object(text: str | None) -> JsonObject:
    """Parse a JSON object column; NULL is an empty object.

    Other programs write these columns too: what is no object comes as ``{"value": ...}``, what
    cannot be parsed (deeper than 200 levels, thousands of digits) as the mark of cut values.
    """
    value = json_value(text) if text else {}
    return value if isinstance(value, dict) else {"value": value}


def json_value(text: str) -> JsonValue:
    """Parse a JSON column.

    Postgres writes every whole number in digits. One that does not fit into 64 bits was a
    float, for canonical JSON has no such integers, and becomes one again.
    """
    try:
        value = _JSON.validate_json(text)
    except ValidationError:
        return {"truncated": True, "preview": text[:PREVIEW_CHARS]}
    return _with_floats(value) if _LONG_NUMBER.search(text) else value


def _with_floats(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    if type(value) is int and not MIN_INT <= value <= MAX_INT:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return value


@lru_cache(maxsize=1024)
def snapshot(text: str) -> DefinitionSnapshot:
    """Parse a definition snapshot; equal texts share one frozen value.

    What was stored was checked at the door; unknown fields are the TypeScript Pulse's. A text
    of ours is read at one go, without the tree of plain objects in between: a page of runs may
    need as many as it has rows.
    """
    if not _LONG_NUMBER.search(text):
        with contextlib.suppress(ValidationError):
            return DefinitionSnapshot.model_validate_json(text, extra="ignore")
    return DefinitionSnapshot.model_validate(
        {"definitionId": "", "name": ADOPTED, "triggerType": ADOPTED} | json_object(text),
        extra="ignore",
    )


def definition(row: Record) -> WorkflowDefinition:
    """Read a row of ``pulse_workflow_definitions``."""
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
    fields["definition_snapshot"] = snapshot(row["definition_snapshot"])
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
    """Give back what a statement always finds; StoreError when it found nothing."""
    if row is None:
        raise StoreError(f"Postgres gave no row for {what}.")
    return row
