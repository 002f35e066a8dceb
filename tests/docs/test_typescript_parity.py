"""Every name of the TypeScript Pulse is here: methods, options, fields, columns, entry types."""

from __future__ import annotations

import inspect
import re
from typing import get_args

import asyncpg
import pytest
from pydantic import BaseModel

from pulse_temporal import (
    ActionResult,
    ActionStep,
    ConditionStep,
    DelayStep,
    Engine,
    EngineOptions,
    ParallelStep,
    RetryPolicy,
    RunTimelineEntry,
    TriggerEnvelope,
    TriggerInput,
    TriggerRegistration,
    WorkflowContext,
    WorkflowDefinition,
    WorkflowRun,
    WorkflowStepRun,
    create_engine,
)
from pulse_temporal.model.runs import LogLevel, RunStatus, StepStatus
from pulse_temporal.model.steps import StepType
from pulse_temporal.model.timeline import TimelineEntryType
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import PulseTest

METHODS = tuple(
    re.findall(
        r"\w+",
        """
        registerTrigger registerAction registerCondition emit start stop migrate replay
        getRun getRunSteps getRunsByTrigger getTrigger getRunTimeline getFailedRuns
        cancelRun retryRun createWorkflow enableWorkflow disableWorkflow
        """,
    )
)

SIGNAL = "tenantId source type resourceType resourceId environment payload"
FIELDS: dict[type[BaseModel], str] = {
    TriggerInput: SIGNAL,
    TriggerEnvelope: f"{SIGNAL} id createdAt",
    TriggerRegistration: "source resourceType payloadSchema",
    WorkflowDefinition: "id tenantId name description triggerType environmentFilter"
    " resourceTypeFilter steps config isEnabled cronExpression createdAt updatedAt",
    ActionStep: "type name config timeoutMs retryPolicy",
    ConditionStep: "type name config timeoutMs retryPolicy onFalse",
    DelayStep: "type name config delayMs",
    ParallelStep: "type name config branches",
    WorkflowRun: "id definitionId tenantId triggerId status context currentStepIndex isReplay"
    " definitionSnapshot startedAt completedAt failedAt canceledAt cancelReason createdAt"
    " updatedAt",
    WorkflowStepRun: "id runId tenantId stepIndex stepType stepName status scheduledFor startedAt"
    " completedAt result errorMessage branchIndex parentStepRunId createdAt",
    RunTimelineEntry: "timestamp type stepIndex stepName stepType detail",
    ActionResult: "success data error",
    RetryPolicy: "maxAttempts backoffMs",
}

COLUMNS = {
    "pulse_triggers": "id tenant_id source type resource_type resource_id environment"
    " payload:jsonb created_at:timestamptz",
    "pulse_workflow_definitions": "id tenant_id name description trigger_type environment_filter"
    " resource_type_filter steps:jsonb config:jsonb is_enabled:boolean cron_expression"
    " created_at:timestamptz updated_at:timestamptz",
    "pulse_workflow_runs": "id definition_id tenant_id trigger_id status context:jsonb"
    " current_step_index:integer is_replay:boolean definition_snapshot:jsonb"
    " started_at:timestamptz completed_at:timestamptz failed_at:timestamptz"
    " canceled_at:timestamptz cancel_reason created_at:timestamptz updated_at:timestamptz",
    "pulse_workflow_step_runs": "id run_id tenant_id step_index:integer step_type step_name status"
    " scheduled_for:timestamptz started_at:timestamptz completed_at:timestamptz result:jsonb"
    " error_message branch_index:integer parent_step_run_id created_at:timestamptz",
    "pulse_execution_logs": "id run_id step_run_id tenant_id level message data:jsonb"
    " created_at:timestamptz",
}


def snake(name: str) -> str:
    """Return the Python spelling of a name."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_keeps_its_name(method: str) -> None:
    assert inspect.isfunction(getattr(Engine, snake(method)))


def test_the_options_keep_their_names_and_defaults() -> None:
    parameters = inspect.signature(create_engine).parameters

    for name in ("db", "tablePrefix", "queuePrefix", "concurrency", "onStepComplete"):
        assert snake(name) in parameters
    assert "on_run_complete" in parameters
    assert (EngineOptions().table_prefix, EngineOptions().queue_prefix) == ("pulse_", "pulse")


@pytest.mark.parametrize("model", FIELDS, ids=lambda model: model.__name__)
def test_a_type_keeps_its_fields(model: type[BaseModel]) -> None:
    names = {field.alias or name for name, field in model.model_fields.items()}
    given = set(FIELDS[model].split())

    assert given <= names


def test_statuses_and_kinds_keep_their_words() -> None:
    runs, steps = set(get_args(RunStatus)), set(get_args(StepStatus))

    assert runs == {"pending", "running", "waiting", "completed", "failed", "canceled"}
    assert steps == {"pending", "scheduled", "running", "completed", "failed", "skipped"}
    assert set(get_args(StepType)) == {"action", "condition", "delay", "parallel"}
    assert set(get_args(LogLevel)) == {"info", "warn", "error"}


def test_the_context_keeps_its_members() -> None:
    members = {*WorkflowContext.__slots__, *vars(WorkflowContext)}

    assert {"tenant_id", "trigger", "run", "step", "config", "is_replay", "emit", "log"} <= members


@pytest.fixture
async def eventful(pulse: PulseTest) -> PulseTest:
    """Return a database in which a bit of everything has happened."""
    engine = pulse.engine

    @engine.action("speak")
    async def speak(ctx: WorkflowContext) -> dict[str, object]:
        ctx.log("Spoken", {"aloud": True})
        return {"said": "hello"}

    pulse.action("never")
    pulse.action("break", fails=1)
    pulse.condition("no", returns=False)
    await pulse.define(
        "all.well",
        "speak",
        delay("pause", 20),
        condition("no", onFalse="skip"),
        "never",
        parallel("both", [action("a", uses="speak")], [action("b", uses="speak")]),
        description="A bit of everything",
        environmentFilter="production",
        resourceTypeFilter="order",
        cronExpression="0 0 29 2 *",
    )
    await pulse.define("all.bad", "break")
    await pulse.define("all.long", delay("for_ever", 3_600_000))
    well = await pulse.emit(
        "all.well", environment="production", resourceType="order", resourceId="o-1"
    )
    for trigger in (well, await pulse.emit("all.bad")):
        await engine.wait_for_run(trigger.run_ids[0])
    long = await pulse.emit("all.long")
    await pulse.wait_for_status(long.run_ids[0], "waiting")
    await engine.cancel_run(long.run_ids[0], "enough")
    return pulse


async def test_every_type_of_timeline_entry_occurs(eventful: PulseTest) -> None:
    found: set[str] = set()
    for run in (await eventful.engine.list_runs()).items:
        found |= {entry.type for entry in await eventful.engine.get_run_timeline(run.id)}

    assert found == set(get_args(TimelineEntryType))
    assert len(found) == 10


@pytest.mark.usefixtures("eventful")
async def test_the_tables_keep_their_columns_and_fill_them(
    connection: asyncpg.Connection,
) -> None:
    for table, columns in COLUMNS.items():
        for column in columns.split():
            name, _, kind = column.partition(":")
            row = await connection.fetchrow(
                f"SELECT pg_typeof({name})::text AS type FROM {table}"  # noqa: S608 - our own names
                f" WHERE {name} IS NOT NULL LIMIT 1"
            )
            assert row is not None, f"{table}.{name} is never filled"
            found = row["type"].replace("timestamp with time zone", "timestamptz")
            assert found == (kind or "text"), f"{table}.{name}"
