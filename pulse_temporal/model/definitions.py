"""Workflows as data: what a caller sends, what is stored, what a run freezes."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field
from typing_extensions import override

from pulse_temporal.errors import Problem
from pulse_temporal.model.steps import WorkflowStep
from pulse_temporal.model.values import CronText, Flag, JsonObject, Name, Prose, TenantId, Value


def _is_absent(value: object) -> bool:
    return value is None


class WorkflowInput(Value):
    """A definition as its author sends it.

    Attributes:
        tenant_id: Owner.
        name: For people; need not be unique.
        description: For people.
        trigger_type: Type of the signals that start it.
        environment_filter: When set, the signal's environment must be equal.
        resource_type_filter: When set, the signal's resource type must be equal.
        steps: What a run does, in order; without steps a run completes at once.
        config: Handed to every handler.
        is_enabled: Only enabled definitions match.
        cron_expression: Five fields or such as ``@daily``; ticks emit ``trigger_type``.
        timezone: IANA zone of the cron expression; None is UTC.
        key: What the application calls it, unique per tenant; ``put_workflow`` finds it by this.
    """

    tenant_id: TenantId
    name: Name
    description: Prose | None = None
    trigger_type: Name
    environment_filter: Name | None = None
    resource_type_filter: Name | None = None
    steps: list[WorkflowStep]
    config: JsonObject = Field(default_factory=dict)
    is_enabled: Flag = True
    cron_expression: CronText | None = None
    timezone: Name | None = None
    key: Name | None = None


class WorkflowUpdate(Value):
    """A change to a definition: only the fields that are set are applied.

    An explicit None clears an optional field and is refused for the others. The owner of
    a definition never changes.
    """

    name: Name | None = None
    description: Prose | None = None
    trigger_type: Name | None = None
    environment_filter: Name | None = None
    resource_type_filter: Name | None = None
    steps: list[WorkflowStep] | None = None
    config: JsonObject | None = None
    is_enabled: Flag | None = None
    cron_expression: CronText | None = None
    timezone: Name | None = None
    key: Name | None = None


class WorkflowDefinition(WorkflowInput):
    """A stored definition; its names may be longer than what is accepted today.

    Attributes:
        id: ``wfd_`` + UUIDv7.
        created_at: When it was created, UTC.
        updated_at: When it last changed, UTC.
        version: 1, and 1 more with every change; enabling and disabling are changes too.
        schedule_error: Why Temporal refuses its cron; None when it does not. Every change of the
            definition, and ``enable_workflow``, lets it be tried again.
        not_understood: Why this release cannot run or change it: a newer one wrote it, and
            ``steps`` is empty. None: it can.
        raw: The stored steps, when they are not understood.
        warnings: Of the call that has stored it, else empty: what its author should look at,
            though it was accepted. They are not stored, and make no two definitions different.
    """

    tenant_id: str
    name: str
    description: str | None = None
    trigger_type: str
    environment_filter: str | None = None
    resource_type_filter: str | None = None
    cron_expression: str | None = None
    timezone: str | None = None
    key: str | None = None
    id: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    version: int = 1
    schedule_error: str | None = None
    not_understood: str | None = Field(default=None, exclude_if=_is_absent)
    raw: JsonObject | None = Field(default=None, exclude_if=_is_absent)
    warnings: tuple[Problem, ...] = Field(default=(), exclude=True, repr=False)

    @override
    def __eq__(self, other: object) -> bool:
        """Compare what is stored."""
        if not isinstance(other, WorkflowDefinition):
            return NotImplemented
        return super().__eq__(other.model_copy(update={"warnings": self.warnings}))

    @override
    def __hash__(self) -> int:
        """Hash what names the stored content."""
        return hash((self.id, self.version))


PutOutcome = Literal["created", "updated", "unchanged"]


class PutWorkflow(Value):
    """What ``put_workflow`` did.

    Attributes:
        definition: As it is stored now.
        outcome: ``created``; ``updated``: it has a new version; ``unchanged``: it was the same.
    """

    definition: WorkflowDefinition
    outcome: PutOutcome


class ValidationReport(Value):
    """What is to be said about a definition that was not stored.

    Attributes:
        problems: Why it would be refused, in document order.
        warnings: What its author should look at, though it would be accepted.
    """

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether it would be accepted."""
        return not self.problems


class DefinitionSnapshot(Value):
    """The definition as it was when a run was planned; later updates do not reach the run.

    Attributes:
        definition_id: The definition it was taken from.
        version: Its version at that moment.
        not_understood: Why this release cannot run it: a newer one wrote it, and ``steps`` is
            empty. None: it can.
        raw: What is stored, when it is not understood.
    """

    name: str
    trigger_type: str
    steps: list[WorkflowStep]
    config: JsonObject = Field(default_factory=dict)
    description: str | None = None
    environment_filter: str | None = None
    resource_type_filter: str | None = None
    definition_id: str
    version: int = 1
    not_understood: str | None = Field(default=None, exclude_if=_is_absent)
    raw: JsonObject | None = Field(default=None, exclude_if=_is_absent)
