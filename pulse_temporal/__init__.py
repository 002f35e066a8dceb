"""Pulse: signal-driven workflows as data, durable on Temporal, visible in Postgres."""

from importlib import import_module
from typing import TYPE_CHECKING

from pulse_temporal.config import EngineOptions, Limits
from pulse_temporal.errors import (
    ActionFailedError,
    ConfigurationError,
    DefinitionConflictError,
    DefinitionError,
    DuplicateHandlerError,
    EmbeddedServiceError,
    EmitBusyError,
    EmitNotAwaitedError,
    HandlerError,
    HandlerResultError,
    HandlerTimeoutError,
    IdempotencyConflictError,
    InvalidInputError,
    JsonValueError,
    MigrationError,
    MissingRightError,
    NonRetryableError,
    NotFoundError,
    NotUnderstoodError,
    PayloadError,
    PostgresUnavailableError,
    Problem,
    PulseError,
    PulseTimeoutError,
    RetryAfterError,
    RunConflictError,
    RunError,
    RunTransitionError,
    SchemaError,
    SignalError,
    SignalLimitError,
    SignalMismatchError,
    StoreError,
    TemporalUnavailableError,
    TransactionConflictError,
    TransactionEndedError,
    TransactionFailedError,
    TransactionInDoubtError,
    UnknownSignalError,
    WorkerLostError,
)
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.handlers.logs import HandlerContextFilter
from pulse_temporal.model.definitions import (
    DefinitionSnapshot,
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.health import HealthCheck, HealthReport
from pulse_temporal.model.reconcile import ReconcileReport, Repair
from pulse_temporal.model.runs import (
    ActionResult,
    ExecutionLog,
    Page,
    RunCompleteEvent,
    RunFilter,
    StepAttempt,
    StepCompleteEvent,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput, TriggerRegistration
from pulse_temporal.model.steps import (
    ActionStep,
    ConditionStep,
    DelayStep,
    ParallelStep,
    RetryPolicy,
    WorkflowStep,
)
from pulse_temporal.model.timeline import RunTimelineEntry

if TYPE_CHECKING:
    from pulse_temporal.engine.facade import Engine, create_engine, engine_from_environment
    from pulse_temporal.engine.service import run_worker

__all__ = [
    "ActionFailedError",
    "ActionResult",
    "ActionStep",
    "ConditionStep",
    "ConfigurationError",
    "DefinitionConflictError",
    "DefinitionError",
    "DefinitionSnapshot",
    "DelayStep",
    "DuplicateHandlerError",
    "EmbeddedServiceError",
    "EmitBusyError",
    "EmitNotAwaitedError",
    "Engine",
    "EngineOptions",
    "ExecutionLog",
    "HandlerContextFilter",
    "HandlerError",
    "HandlerResultError",
    "HandlerTimeoutError",
    "HealthCheck",
    "HealthReport",
    "IdempotencyConflictError",
    "InvalidInputError",
    "JsonValueError",
    "Limits",
    "MigrationError",
    "MissingRightError",
    "NonRetryableError",
    "NotFoundError",
    "NotUnderstoodError",
    "Page",
    "ParallelStep",
    "PayloadError",
    "PostgresUnavailableError",
    "Problem",
    "PulseError",
    "PulseTimeoutError",
    "PutWorkflow",
    "ReconcileReport",
    "Repair",
    "RetryAfterError",
    "RetryPolicy",
    "RunCompleteEvent",
    "RunConflictError",
    "RunError",
    "RunFilter",
    "RunTimelineEntry",
    "RunTransitionError",
    "SchemaError",
    "SignalError",
    "SignalLimitError",
    "SignalMismatchError",
    "StepAttempt",
    "StepCompleteEvent",
    "StoreError",
    "TemporalUnavailableError",
    "TransactionConflictError",
    "TransactionEndedError",
    "TransactionFailedError",
    "TransactionInDoubtError",
    "TriggerEnvelope",
    "TriggerInput",
    "TriggerRegistration",
    "UnknownSignalError",
    "ValidationReport",
    "WorkerLostError",
    "WorkflowContext",
    "WorkflowDefinition",
    "WorkflowInput",
    "WorkflowRun",
    "WorkflowStep",
    "WorkflowStepRun",
    "WorkflowUpdate",
    "create_engine",
    "engine_from_environment",
    "run_worker",
]


def __getattr__(name: str) -> object:
    """Import the engine, and with it Temporal's SDK (0.4 s), when it is first asked for."""
    if name in {"Engine", "create_engine", "engine_from_environment"}:
        return getattr(import_module("pulse_temporal.engine.facade"), name)
    if name == "run_worker":
        return getattr(import_module("pulse_temporal.engine.service"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
