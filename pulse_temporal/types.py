"""Types for annotations in an application's own code; they do nothing at run time.

```python
from pulse_temporal import WorkflowContext
from pulse_temporal.types import ActionReturn, Connection, RunStatus
```
"""

from __future__ import annotations

from pulse_temporal.config import Duration, EngineSettings, GivenSettings
from pulse_temporal.handlers.hooks import RunHook, StepHook
from pulse_temporal.handlers.middleware import CallNext, Middleware
from pulse_temporal.handlers.registry import ActionHandler, ActionReturn, ConditionHandler
from pulse_temporal.model.api_keys import Scope
from pulse_temporal.model.audit import AuditAction
from pulse_temporal.model.bulk import BulkKind, BulkOutcome, BulkStatus
from pulse_temporal.model.catalogue import Audience, CatalogKind, HandlerAboutFields
from pulse_temporal.model.definitions import PutOutcome, VersionKind
from pulse_temporal.model.explain import SignalOutcome, VerdictKind
from pulse_temporal.model.health import CheckName, HealthStatus
from pulse_temporal.model.plan import ChangeAction
from pulse_temporal.model.reconcile import Found, Remedy
from pulse_temporal.model.runs import (
    AttemptStatus,
    LogLevel,
    RunFilterFields,
    RunStatus,
    StepStatus,
)
from pulse_temporal.model.signal_views import MatchedBy, SearchKind
from pulse_temporal.model.steps import OnFalse, StepType
from pulse_temporal.model.timeline import TimelineEntryType
from pulse_temporal.model.values import JsonObject
from pulse_temporal.model.view_filters import RunSummaryFilterFields, SignalFilterFields
from pulse_temporal.model.views import Attention, NoticeKind, SegmentKind
from pulse_temporal.postgres.connection import Connection, Pool

__all__ = [
    "ActionHandler",
    "ActionReturn",
    "AttemptStatus",
    "Attention",
    "Audience",
    "AuditAction",
    "BulkKind",
    "BulkOutcome",
    "BulkStatus",
    "CallNext",
    "CatalogKind",
    "ChangeAction",
    "CheckName",
    "ConditionHandler",
    "Connection",
    "Duration",
    "EngineSettings",
    "Found",
    "GivenSettings",
    "HandlerAboutFields",
    "HealthStatus",
    "JsonObject",
    "LogLevel",
    "MatchedBy",
    "Middleware",
    "NoticeKind",
    "OnFalse",
    "Pool",
    "PutOutcome",
    "Remedy",
    "RunFilterFields",
    "RunHook",
    "RunStatus",
    "RunSummaryFilterFields",
    "Scope",
    "SearchKind",
    "SegmentKind",
    "SignalFilterFields",
    "SignalOutcome",
    "StepHook",
    "StepStatus",
    "StepType",
    "TimelineEntryType",
    "VerdictKind",
    "VersionKind",
]
