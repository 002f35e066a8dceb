"""Runs and step runs: their fields, their statuses, and which status may follow which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Generic, Literal, Self, TypedDict, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationError,
    model_validator,
)
from typing_extensions import TypeIs, override

from pulse_temporal.errors import InvalidInputError, RunTransitionError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.paths import Path
from pulse_temporal.model.values import Flag, JsonObject, TenantId, Value

RunStatus = Literal["pending", "running", "waiting", "completed", "failed", "canceled"]
StepStatus = Literal["pending", "scheduled", "running", "completed", "failed", "skipped"]
AttemptStatus = Literal["open", "completed", "failed", "timed_out", "lost", "released", "canceled"]
LogLevel = Literal["info", "warn", "error"]

TERMINAL_RUN_STATUSES: frozenset[RunStatus] = frozenset({"completed", "failed", "canceled"})
"""A run with one of these is over, unless a failed one is retried."""

TERMINAL_STEP_STATUSES: frozenset[StepStatus] = frozenset({"completed", "failed", "skipped"})
"""A step run with one of these is over, unless a failed one's run is retried."""

RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = MappingProxyType(
    {
        "pending": frozenset({"running", "canceled", "failed"}),
        "running": frozenset({"waiting", "completed", "failed", "canceled"}),
        "waiting": frozenset({"running", "completed", "failed", "canceled"}),
        "completed": frozenset(),
        "failed": frozenset({"running"}),
        "canceled": frozenset(),
    }
)
"""Statuses that may follow each run status; ``failed`` to ``running`` is a retry."""

STEP_TRANSITIONS: Mapping[StepStatus, frozenset[StepStatus]] = MappingProxyType(
    {
        "pending": frozenset({"scheduled", "running", "skipped", "failed"}),
        "scheduled": frozenset({"running", "completed", "skipped", "failed"}),
        "running": frozenset({"completed", "failed", "running", "scheduled"}),
        "completed": frozenset(),
        "failed": frozenset({"pending", "running"}),
        "skipped": frozenset(),
    }
)
"""Statuses that may follow each step status.

``running`` to itself is a redelivery under a new claim. ``failed`` is left only in a new
generation of the run (to ``running`` by a parallel step).
"""


def is_run_status(status: str) -> TypeIs[RunStatus]:
    """Return whether this release knows a run's status."""
    return status in RUN_TRANSITIONS


def check_run_transition(run_id: str, current: RunStatus | str, target: RunStatus) -> None:
    """Check that a run may change from ``current`` to ``target``.

    Raises:
        RunTransitionError: It may not; the message names the statuses that may follow, or says
            that only a newer release knows ``current``.
    """
    if not is_run_status(current):
        raise RunTransitionError(
            f"Run {run_id} is {current!r}, a status of a newer Pulse than this process runs; "
            f"update this process before it changes the run."
        )
    allowed = RUN_TRANSITIONS[current]
    if target not in allowed:
        raise RunTransitionError(
            f"Run {run_id} is {current!r} and cannot become {target!r}; "
            f"allowed: {', '.join(sorted(allowed)) or 'nothing, it is over'}."
        )


class WorkflowRun(Value):
    """One execution of a definition.

    Attributes:
        id: ``run_`` + UUIDv7.
        status: A status of a newer release is returned as it is stored.
        context: Results of completed actions by step name.
        current_step_index: Index in the root list of the active step.
        is_replay: Started by a replay.
        is_dry_run: Started by a replay that only evaluates conditions.
        definition_snapshot: The definition as it was when the run was planned.
        generation: 1, and 1 more with every retry.
        error_message: Why it failed; None otherwise.
    """

    id: str
    definition_id: str
    tenant_id: str
    trigger_id: str
    status: RunStatus | str
    context: JsonObject = Field(default_factory=dict)
    current_step_index: int = 0
    is_replay: Flag = False
    is_dry_run: Flag = False
    definition_snapshot: DefinitionSnapshot
    generation: int = 1
    error_message: str | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    failed_at: AwareDatetime | None = None
    canceled_at: AwareDatetime | None = None
    cancel_reason: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def temporal_workflow_id(self) -> str:
        """Id of the present generation's workflow in Temporal."""
        return self.id if self.generation == 1 else f"{self.id}:{self.generation}"


class WorkflowStepRun(Value):
    """The execution of one step in one run.

    Attributes:
        id: ``stp_`` + UUIDv7.
        step_index: Position in its list, from 0.
        step_type: Kind of step; one of a newer release is returned as it is stored.
        status: A status of a newer release is returned as it is stored.
        path: Position in the run, for example ``2/b0/1``.
        uses: The handler's name when it differs from ``step_name``.
        result: What the handler returned; ``{"value": ...}`` for a condition.
        branch_index: Branch of the parallel step that contains it; None in the root list.
        parent_step_run_id: The parallel step that contains it; None in the root list.
        generation: Generation of the run that last touched it.
        attempt: Attempts used in this generation; lost workers do not count.
        max_attempts: Attempts that its policy grants.
        next_attempt_at: When the next attempt is due after a failed one.
        skipped_by: Path of the condition, or the reason, that skipped it.
        blocked_reason: Why it cannot start, for example no worker knows its handler.
    """

    id: str
    run_id: str
    tenant_id: str
    step_index: int
    step_type: str
    step_name: str
    status: StepStatus | str
    path: Path
    uses: str | None = None
    scheduled_for: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    result: JsonObject | None = None
    error_message: str | None = None
    branch_index: int | None = None
    parent_step_run_id: str | None = None
    generation: int = 1
    attempt: int = 0
    max_attempts: int = 1
    next_attempt_at: AwareDatetime | None = None
    skipped_by: str | None = None
    blocked_reason: str | None = None
    created_at: AwareDatetime

    @property
    def handler(self) -> str:
        """Name under which the handler is registered."""
        return self.uses or self.step_name


class StepAttempt(Value):
    """One delivery of a step to a worker.

    Attributes:
        path: Of the step.
        claim: Number of this delivery of the step, from 1.
        attempt: Number of the attempt in this generation, from 1; a delivery after a lost worker
            keeps the number.
        status: ``lost`` and ``released`` cost no attempt; a status of a newer release is returned
            as it is stored.
        worker_id: The worker that had it.
        deadline_at: When its time is over.
        error_message: Why it failed or was lost; None otherwise.
        traceback: Where the application's code failed: its own frames, with causes and notes,
            cut to 16 KiB; None when nothing was raised.
    """

    step_run_id: str
    run_id: str
    tenant_id: str
    path: Path
    step_name: str
    generation: int
    claim: int
    attempt: int
    status: AttemptStatus | str
    worker_id: str
    started_at: AwareDatetime
    deadline_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    error_message: str | None = None
    traceback: str | None = None


class RunFilter(Value):
    """Which runs to list; every field that is set narrows the list.

    Raises ``InvalidInputError`` when it is made with an unknown or wrong field.

    Attributes:
        tenant_id: None reads across tenants, for operators only.
        status: One status or several.
        created_after: Earliest time of creation, included.
        created_before: Latest time of creation, excluded.
    """

    tenant_id: TenantId | None = None
    status: RunStatus | Annotated[list[RunStatus], Field(min_length=1)] | None = None
    definition_id: str | None = None
    trigger_id: str | None = None
    resource_id: str | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, fields: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn pydantic's error into one of this library.

        Raises:
            InvalidInputError: A field is unknown or wrong; all of them are named.
        """
        try:
            return read(fields)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
        reasons = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems)
        raise InvalidInputError(f"The filter of runs is wrong: {reasons}.")

    @property
    def statuses(self) -> list[RunStatus] | None:
        """The statuses as a list; None for any."""
        return [self.status] if isinstance(self.status, str) else self.status


class RunFilterFields(TypedDict, total=False):
    """The fields of ``RunFilter``, as lists of runs take them by name."""

    tenant_id: str | None
    status: RunStatus | list[RunStatus] | None
    definition_id: str | None
    trigger_id: str | None
    resource_id: str | None
    created_after: AwareDatetime | None
    created_before: AwareDatetime | None


Item = TypeVar("Item")


class Page(Value, Generic[Item]):
    """One page of a longer list; ``for item in page`` and ``len(page)`` are of its items.

    Attributes:
        items: In the order of the list.
        next_cursor: Pass it as ``cursor`` for the next page; None on the last one.
    """

    items: tuple[Item, ...]
    next_cursor: str | None = None

    @override
    def __iter__(self) -> Iterator[Item]:  # pyright: ignore[reportIncompatibleMethodOverride] - pydantic's gives fields
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class ActionResult(Value):
    """The result of an action; a mapping that it returns is short for ``ActionResult(data=...)``.

    Attributes:
        success: False makes this a failed attempt.
        data: A mapping or a pydantic model, which joins the run's context; must be canonical
            JSON, which is checked when the handler has returned.
        error: Why it failed.
        retryable: False rules out another attempt.
        retry_after: Shortest pause before the next attempt; replaces the policy's backoff.
    """

    success: Flag = True
    data: Mapping[str, object] | SerializeAsAny[BaseModel] | None = None
    error: str | None = None
    retryable: Flag = True
    retry_after: Annotated[timedelta, Field(ge=timedelta())] | None = None


class StepCompleteEvent(Value):
    """Handed to ``on_step_complete`` when a step is over."""

    run: WorkflowRun
    step: WorkflowStepRun


class RunCompleteEvent(Value):
    """Handed to ``on_run_complete`` when a run is over."""

    run: WorkflowRun
    status: RunStatus | str


class ExecutionLog(Value):
    """One line that a handler, or Pulse on its behalf, wrote into a run.

    Attributes:
        id: ``log_`` + UUIDv7.
        step_run_id: None for lines about the whole run.
        level: A level of a newer release is returned as it is stored.
        seq: Position among all events and log lines; timestamps do not give the order.
    """

    id: str
    run_id: str
    step_run_id: str | None = None
    tenant_id: str
    level: LogLevel | str
    message: str
    data: JsonObject | None = None
    created_at: AwareDatetime
    seq: int
