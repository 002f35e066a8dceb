"""Pulse: signal-driven workflows as data, durable on Temporal, visible in Postgres."""

from importlib import import_module
from typing import TYPE_CHECKING

from pulse_temporal.config import EngineOptions, Limits
from pulse_temporal.errors import (
    ActionFailedError,
    BulkOverError,
    ConfigurationError,
    CredentialError,
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
    KeyExpiredError,
    KeyRevokedError,
    KeyRotatedError,
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
from pulse_temporal.model.acting import Actor, acting
from pulse_temporal.model.api_keys import ApiKey, NewApiKey
from pulse_temporal.model.audit import AuditEntry
from pulse_temporal.model.bulk import (
    BulkFilter,
    BulkItem,
    BulkOperation,
    BulkPreview,
)
from pulse_temporal.model.catalogue import CatalogEntry
from pulse_temporal.model.definition_views import DefinitionActivity, RunMark
from pulse_temporal.model.definitions import (
    DefinitionSnapshot,
    DefinitionVersion,
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.diff import DefinitionDifference, FieldDifference, StepDifference
from pulse_temporal.model.explain import Explanation, Verdict
from pulse_temporal.model.health import HealthCheck, HealthReport
from pulse_temporal.model.operator_views import TenantView, WorkerView
from pulse_temporal.model.plan import DefinitionsPlan, PlannedChange
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
from pulse_temporal.model.sessions import LoginLink, NewLoginLink, NewWebSession, WebSession
from pulse_temporal.model.signal_views import (
    ChainRun,
    ChainSignal,
    SearchResult,
    SignalChain,
    SignalSummary,
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
from pulse_temporal.model.view_filters import RunSummaryFilter, SignalFilter
from pulse_temporal.model.views import (
    BoundedCount,
    CurrentStep,
    FailureGroup,
    Notice,
    RunCounts,
    RunSummary,
    RunView,
    Segment,
    StepSummary,
    StepView,
    TemporalPlace,
)

if TYPE_CHECKING:
    from pulse_temporal.engine.blocking import BlockingEngine, BlockingTenant
    from pulse_temporal.engine.definitions import BlockingDefinitions, EngineDefinitions
    from pulse_temporal.engine.facade import Engine, create_engine, engine_from_environment
    from pulse_temporal.engine.runs import BlockingRuns, EngineRuns
    from pulse_temporal.engine.service import run_worker
    from pulse_temporal.engine.signals import BlockingSignals, EngineSignals
    from pulse_temporal.engine.tenant import TenantEngine

    __version__: str

__all__ = [
    "ActionFailedError",
    "ActionResult",
    "ActionStep",
    "Actor",
    "ApiKey",
    "AuditEntry",
    "BlockingDefinitions",
    "BlockingEngine",
    "BlockingRuns",
    "BlockingSignals",
    "BlockingTenant",
    "BoundedCount",
    "BulkFilter",
    "BulkItem",
    "BulkOperation",
    "BulkOverError",
    "BulkPreview",
    "CatalogEntry",
    "ChainRun",
    "ChainSignal",
    "ConditionStep",
    "ConfigurationError",
    "CredentialError",
    "CurrentStep",
    "DefinitionActivity",
    "DefinitionConflictError",
    "DefinitionDifference",
    "DefinitionError",
    "DefinitionSnapshot",
    "DefinitionVersion",
    "DefinitionsPlan",
    "DelayStep",
    "DuplicateHandlerError",
    "EmbeddedServiceError",
    "EmitBusyError",
    "EmitNotAwaitedError",
    "Engine",
    "EngineDefinitions",
    "EngineOptions",
    "EngineRuns",
    "EngineSignals",
    "ExecutionLog",
    "Explanation",
    "FailureGroup",
    "FieldDifference",
    "HandlerContextFilter",
    "HandlerError",
    "HandlerResultError",
    "HandlerTimeoutError",
    "HealthCheck",
    "HealthReport",
    "IdempotencyConflictError",
    "InvalidInputError",
    "JsonValueError",
    "KeyExpiredError",
    "KeyRevokedError",
    "KeyRotatedError",
    "Limits",
    "LoginLink",
    "MigrationError",
    "MissingRightError",
    "NewApiKey",
    "NewLoginLink",
    "NewWebSession",
    "NonRetryableError",
    "NotFoundError",
    "NotUnderstoodError",
    "Notice",
    "Page",
    "ParallelStep",
    "PayloadError",
    "PlannedChange",
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
    "RunCounts",
    "RunError",
    "RunFilter",
    "RunMark",
    "RunSummary",
    "RunSummaryFilter",
    "RunTimelineEntry",
    "RunTransitionError",
    "RunView",
    "SchemaError",
    "SearchResult",
    "Segment",
    "SignalChain",
    "SignalError",
    "SignalFilter",
    "SignalLimitError",
    "SignalMismatchError",
    "SignalSummary",
    "StepAttempt",
    "StepCompleteEvent",
    "StepDifference",
    "StepSummary",
    "StepView",
    "StoreError",
    "TemporalPlace",
    "TemporalUnavailableError",
    "TenantEngine",
    "TenantView",
    "TransactionConflictError",
    "TransactionEndedError",
    "TransactionFailedError",
    "TransactionInDoubtError",
    "TriggerEnvelope",
    "TriggerInput",
    "TriggerRegistration",
    "UnknownSignalError",
    "ValidationReport",
    "Verdict",
    "WebSession",
    "WorkerLostError",
    "WorkerView",
    "WorkflowContext",
    "WorkflowDefinition",
    "WorkflowInput",
    "WorkflowRun",
    "WorkflowStep",
    "WorkflowStepRun",
    "WorkflowUpdate",
    "__version__",
    "acting",
    "create_engine",
    "engine_from_environment",
    "run_worker",
]


# `import pulse_temporal` must stay quick for programs that only need models or errors, and for
# `pulse --version` (tests/cli/test_commands.py::version_does_not_wait_for_the_engine).
_LAZY = {
    "BlockingDefinitions": "pulse_temporal.engine.definitions",
    "BlockingEngine": "pulse_temporal.engine.blocking",
    "BlockingRuns": "pulse_temporal.engine.runs",
    "BlockingSignals": "pulse_temporal.engine.signals",
    "BlockingTenant": "pulse_temporal.engine.blocking",
    "Engine": "pulse_temporal.engine.facade",
    "EngineDefinitions": "pulse_temporal.engine.definitions",
    "EngineRuns": "pulse_temporal.engine.runs",
    "EngineSignals": "pulse_temporal.engine.signals",
    "create_engine": "pulse_temporal.engine.facade",
    "engine_from_environment": "pulse_temporal.engine.facade",
    "TenantEngine": "pulse_temporal.engine.tenant",
    "run_worker": "pulse_temporal.engine.service",
}


def __getattr__(name: str) -> object:
    """Import the engine, and with it Temporal's SDK (0.4 s), at the first use of a lazy name."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("pulse-workflows")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return all names, including the lazy ones."""
    return sorted({*globals(), *_LAZY, "__version__"})
