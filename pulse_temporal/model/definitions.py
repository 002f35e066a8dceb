"""Workflows as data: what a caller sends, what is stored, what a run freezes."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from pulse_temporal.model.steps import WorkflowStep
from pulse_temporal.model.values import Flag, JsonObject, Name, Prose, TenantId, Value


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
    cron_expression: Name | None = None
    timezone: Name | None = None


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
    cron_expression: Name | None = None
    timezone: Name | None = None


class WorkflowDefinition(WorkflowInput):
    """A stored definition; its names may be longer than what is accepted today.

    Attributes:
        id: ``wfd_`` + UUIDv7.
        created_at: When it was created, UTC.
        updated_at: When it last changed, UTC.
        version: 1, and 1 more with every update.
    """

    tenant_id: str
    name: str
    description: str | None = None
    trigger_type: str
    environment_filter: str | None = None
    resource_type_filter: str | None = None
    cron_expression: str | None = None
    timezone: str | None = None
    id: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    version: int = 1


class DefinitionSnapshot(Value):
    """The definition as it was when a run was planned; later updates do not reach the run.

    Attributes:
        definition_id: The definition it was taken from.
        version: Its version at that moment.
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
