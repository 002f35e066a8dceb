"""Workflow definitions: as sent by a caller, as stored, and as frozen in a run."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field
from typing_extensions import override

from pulse_temporal.errors import Problem
from pulse_temporal.model.acting import Actor
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
        cron_expression: Five fields, or a shorthand such as ``@daily``; ticks emit a signal of
            type ``trigger_type``.
        timezone: IANA zone of the cron expression; None means UTC.
        key: The application's own name for it, unique in the tenant, by which ``put_workflow``
            finds it.
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

    An explicit None clears an optional field, and is refused for the others. A definition
    never changes its tenant.
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
    """A stored definition; its texts may be longer than this release accepts.

    Attributes:
        id: ``wfd_`` + UUIDv7.
        created_at: When it was created, UTC.
        updated_at: When it last changed, UTC.
        version: 1, and 1 more with every change; enabling and disabling are changes too.
        schedule_error: Why Temporal refuses its cron; None when it does not. Every change of the
            definition, and ``enable_workflow``, tries again.
        not_understood: Why this release cannot run or change it: a newer one wrote it. Then
            ``steps`` is empty. None: it can.
        raw: The stored steps, when they are not understood.
        warnings: What its author should look at, though it was accepted. Only what the call that
            stored it returns has them; they are neither stored nor compared by ``==``.
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
        """Return whether all that is stored is equal; warnings are not."""
        if not isinstance(other, WorkflowDefinition):
            return NotImplemented
        # With equal warnings, pydantic's comparison depends on everything else.
        return super().__eq__(other.model_copy(update={"warnings": self.warnings}))

    @override
    def __hash__(self) -> int:
        """Return a hash of id and version, which identify the content."""
        return hash((self.id, self.version))


VersionKind = Literal["content", "enabled", "disabled", "deleted"]
"""What a version of a definition has changed; ``deleted`` is the last one."""


class DefinitionVersion(Value):
    """A version of a definition: what it has become, when, by whom and why.

    Attributes:
        definition_id: Of which definition.
        version: 1, and 1 more with every change.
        tenant_id: Owner.
        kind: What has changed: the ``content``, of which being enabled may be a part, or only
            that it was ``enabled``, ``disabled`` or ``deleted``. A kind of a newer release is
            returned as it is stored.
        valid_from: Since when it held, UTC.
        actor: Who made it, see ``acting``; None: a release that did not record it.
        note: Why, where that was said.
        content: All of the definition as of this version, in camelCase, as ``create`` takes it;
            None in a list, and where an older release has not recorded it.
    """

    definition_id: str
    version: int
    tenant_id: str
    kind: VersionKind | str
    valid_from: AwareDatetime
    actor: Actor | None = None
    note: str | None = None
    content: JsonObject | None = None


PutOutcome = Literal["created", "updated", "unchanged"]


class PutWorkflow(Value):
    """The result of ``put_workflow``.

    Attributes:
        definition: As it is stored now.
        outcome: ``created``; ``updated``, with a new version; ``unchanged``: nothing differed.
    """

    definition: WorkflowDefinition
    outcome: PutOutcome


class ValidationReport(Value):
    """The result of ``validate_workflow``, which stores nothing.

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
    """A definition as it was when a run was planned; later updates do not reach the run.

    Attributes:
        definition_id: The definition it was taken from.
        version: Its version at that moment.
        not_understood: Why this release cannot run it: a newer one wrote it. Then ``steps`` is
            empty. None: it can.
        raw: The stored snapshot, when it is not understood.
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
