"""What the API sends and takes beside the models of the engine: named pages, and bodies."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from pulse_temporal.errors import Problem
from pulse_temporal.model.api_keys import ApiKey, Scope
from pulse_temporal.model.audit import AuditEntry
from pulse_temporal.model.definitions import (
    DefinitionVersion,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.operator_views import TenantView, WorkerView
from pulse_temporal.model.runs import (
    ExecutionLog,
    LogLevel,
    Page,
    RunStatus,
    StepAttempt,
    WorkflowRun,
)
from pulse_temporal.model.signal_views import SearchResult, SignalSummary
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.model.values import Flag, Name, ResourceId, TenantId, Value
from pulse_temporal.model.views import Attention, FailureGroup, RunSummary, StepSummary
from pulse_temporal.web.api.asking import PageQuery, Query


class RunPage(Page[RunSummary]):
    """One page of runs."""


class ReplayedRuns(Page[WorkflowRun]):
    """The runs that a replay has planned, oldest definition first."""


class SignalPage(Page[SignalSummary]):
    """One page of signals."""


class EmittedSignals(Page[TriggerEnvelope]):
    """The signals of a batch, in the order given."""


class StepList(Page[StepSummary]):
    """All steps of a run, in document order."""


class AttemptList(Page[StepAttempt]):
    """All attempts of a run's steps."""


class Timeline(Page[RunTimelineEntry]):
    """All that happened to a run, in order."""


class LogList(Page[ExecutionLog]):
    """All lines that were written for a run, in order."""


class FailureList(Page[FailureGroup]):
    """Failed runs in groups, the group of the newest failure first."""


class DefinitionPage(Page[WorkflowDefinition]):
    """One page of definitions."""


class VersionPage(Page[DefinitionVersion]):
    """One page of versions."""


class TimeList(Page[AwareDatetime]):
    """Moments, soonest first."""


class KeyPage(Page[ApiKey]):
    """One page of API keys."""


class AuditPage(Page[AuditEntry]):
    """One page of the audit."""


class TenantPage(Page[TenantView]):
    """One page of tenants."""


class WorkerList(Page[WorkerView]):
    """All processes that take work."""


class SearchResults(Page[SearchResult]):
    """What a search has found."""


class StoredDefinition(WorkflowDefinition):
    """A definition as it was just stored.

    Attributes:
        warnings: What its author should look at, though it was accepted.
    """

    warnings: tuple[Problem, ...] = ()


class StoredByKey(Value):
    """A definition that was stored by its key.

    Attributes:
        definition: As it is stored now.
        outcome: ``created``; ``updated``, with a new version; ``unchanged``: nothing differed.
    """

    definition: StoredDefinition
    outcome: Literal["created", "updated", "unchanged"]


class Report(Value):
    """What storing a definition would say.

    Attributes:
        is_valid: It would be accepted.
        problems: Why it would be refused, in document order.
        warnings: What its author should look at, though it would be accepted.
    """

    is_valid: Flag
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class WhoAmI(Value):
    """Who asks.

    Attributes:
        id: Of the key or the person.
        kind: How it was recognised.
        tenants: Whose data it may see; None: that of all tenants.
        scopes: What it may do, sorted.
    """

    id: str
    name: str
    kind: Literal["host", "key", "session", "embed", "dev"]
    tenants: tuple[str, ...] | None
    scopes: tuple[Scope, ...]


class Signal(TriggerInput):
    """A signal to emit; its tenant is that of the credential, or of ``Pulse-Tenant``."""

    tenant_id: TenantId | None = None  # pyright: ignore[reportIncompatibleVariableOverride] - need not be said


class Batch(Value):
    """Signals to emit, all or none.

    Attributes:
        signals: At most 1 000.
    """

    signals: list[Signal] = Field(max_length=1000)


class Definition(WorkflowInput):
    """A definition; its tenant is that of the credential, or of ``Pulse-Tenant``."""

    tenant_id: TenantId | None = None  # pyright: ignore[reportIncompatibleVariableOverride] - need not be said


class DefinitionChange(WorkflowUpdate):
    """The fields to change; null clears an optional one."""


class DefinitionSetRequest(Value):
    """A set of definitions, such as the files of a repository.

    Attributes:
        set_name: What belongs together.
        documents: Each with a ``key``; at most 10 000.
        prune: Delete the definitions of this set that are not among the documents.
        force: Overwrite what was changed by hand too.
        note: Why, for the versions.
    """

    set_name: Name
    documents: list[Definition] = Field(max_length=10_000)
    prune: Flag = False
    force: Flag = False
    note: str | None = None


class Note(Value):
    """Why a definition is changed.

    Attributes:
        note: For its versions; cut at 1 000 bytes.
    """

    note: str | None = None


class ReplayRequest(Value):
    """How to replay a signal.

    Attributes:
        dry_run: Only conditions are evaluated.
        reason: For the audit.
    """

    dry_run: Flag = False
    reason: str | None = None


class NewKey(Value):
    """An API key to make.

    Attributes:
        name: For people.
        scopes: What it may do; nothing that who makes it may not do itself.
        all_tenants: A key for all tenants, which takes a key for all tenants to make.
        expires_at: From when on it is refused; null: never.
    """

    name: Name
    scopes: list[Scope] = Field(min_length=1)
    all_tenants: Flag = False
    expires_at: AwareDatetime | None = None


class Rotation(Value):
    """How to rotate a key.

    Attributes:
        grace_seconds: How long the old key works on, up to 365 days.
        reason: For the audit.
    """

    grace_seconds: int = Field(default=86_400, strict=True, ge=0, le=31_536_000)
    reason: str | None = None


class ReconcileRequest(Value):
    """How to compare with Temporal.

    Attributes:
        dry_run: Only say what would be repaired.
        confirm: Repair also what would be halted.
    """

    dry_run: Flag = False
    confirm: Flag = False


class RunsQuery(Query):
    """Which runs.

    Attributes:
        status: May be given several times.
        attention: Why somebody may want to look at an open run.
        signal_id: Runs of this signal and of its replays.
        signal_type: Type of the signal; a tenant must be named.
        created_after: Earliest time of creation, included.
        created_before: Latest time of creation, excluded.
    """

    LISTS: ClassVar[frozenset[str]] = frozenset({"status"})

    status: list[RunStatus] | None = None
    attention: Attention | None = None
    definition_id: str | None = None
    signal_id: str | None = None
    signal_type: Name | None = None
    resource_id: str | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None


class RunPageQuery(RunsQuery, PageQuery):
    """Which runs, and which page."""


class SignalPageQuery(PageQuery):
    """Which signals.

    Attributes:
        matched: Whether it started a run.
    """

    type: Name | None = None
    source: Name | None = None
    resource_type: Name | None = None
    resource_id: ResourceId | None = None
    environment: Name | None = None
    matched: bool | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None


class DefinitionPageQuery(PageQuery):
    """Which definitions."""

    trigger_type: str | None = None
    is_enabled: bool | None = None


class AttemptsQuery(Query):
    """Which attempts."""

    path: str | None = None


class StepQuery(Query):
    """Which attempt of a step; without one, the newest."""

    claim: int | None = Field(default=None, ge=1)


class LogsQuery(Query):
    """Which lines.

    Attributes:
        level: May be given several times.
    """

    LISTS: ClassVar[frozenset[str]] = frozenset({"level"})

    level: list[LogLevel] | None = None


class FailuresQuery(Query):
    """Which failures."""

    definition_id: str | None = None
    created_after: AwareDatetime | None = None


class NextQuery(Query):
    """How many moments."""

    n: int = Field(default=5, ge=1, le=500)


class SearchQuery(Query):
    """What was typed."""

    q: str = ""


class AuditQuery(PageQuery):
    """Which changes."""

    subject_id: str | None = None
    action: str | None = None


class HealthQuery(Query):
    """What to look at.

    Attributes:
        compare: Compare up to 500 runs with Temporal too.
    """

    compare: bool = False
