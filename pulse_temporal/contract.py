"""What travels through Temporal between workflows and activities: names and payloads.

Temporal carries control flow: ids, the skeleton of a definition, outcomes. Payloads, configs,
contexts and results stay in Postgres. Every model here is part of recorded histories: fields
may be added with a default, never renamed or removed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

from pulse_temporal.model.runs import RunStatus
from pulse_temporal.model.steps import StepType

Reply = TypeVar("Reply", bound=BaseModel)

RUN_WORKFLOW = "PulseRun"
BRANCH_WORKFLOW = "PulseBranch"
CRON_WORKFLOW = "PulseCronTick"

BEGIN = "pulse:begin"
START_DELAY = "pulse:start_delay"
END_DELAY = "pulse:end_delay"
SKIP = "pulse:skip"
START_PARALLEL = "pulse:start_parallel"
FINISH_PARALLEL = "pulse:finish_parallel"
END_BRANCH = "pulse:end_branch"
FINISH_BRANCH = "pulse:finish_branch"
FINISH_RUN = "pulse:finish_run"
CANCEL_RUN = "pulse:cancel_run"
CRON_TICK = "pulse:cron_tick"
RESERVED_PREFIX = "pulse:"
"""Activity types of handlers are their own names, so no handler's name may begin like this."""

ATTEMPT_FAILED = "PulseAttemptFailed"
RUN_FAILED = "PulseRunFailed"
BRANCH_FAILED = "PulseBranchFailed"
BRANCH_REFUSED = "PulseBranchRefused"
HANDLER_MISSING = "PulseHandlerMissing"
THREADS_TAKEN = "PulseThreadsTaken"
POOL_TOO_SMALL = "PulsePoolTooSmall"

TENANT_ATTRIBUTE = "PulseTenant"
DEFINITION_ATTRIBUTE = "PulseDefinition"
TRIGGER_ATTRIBUTE = "PulseTrigger"
SCHEDULED_TIME_ATTRIBUTE = "TemporalScheduledStartTime"  # Temporal sets it on a schedule's starts

FAIRNESS_KEY_BYTES = 64  # Temporal accepts no longer key


class Payload(BaseModel):
    """Base of all payloads: frozen; unknown fields, of a newer release, are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")


_shown_if_set = Field(exclude_if=lambda value: not value)  # keeps histories short and readable


class StepSkeleton(Payload):
    """One step of a skeleton: what control flow needs, and nothing of the tenant's data.

    Attributes:
        type: Kind of step.
        name: Unique in the definition.
        uses: Name of its handler, for actions and conditions.
        delay_ms: Length of a delay.
        timeout_ms: Declared bound of one attempt.
        on_false: What a false condition does.
        branches: Skeletons of a parallel step's branches.
    """

    type: StepType
    name: str
    uses: Annotated[str, _shown_if_set] = ""
    delay_ms: Annotated[int, _shown_if_set] = 0
    timeout_ms: Annotated[int | None, _shown_if_set] = None
    on_false: Annotated[
        Literal["complete", "skip"] | int, Field(exclude_if=lambda value: value == "complete")
    ] = "complete"
    branches: Annotated[tuple[tuple[StepSkeleton, ...], ...], _shown_if_set] = ()


class Scope(Payload):
    """The part of a run that one interpreter works on: the run itself or a branch.

    Attributes:
        run_id: The run.
        tenant_id: Its tenant.
        generation: Of the run; 1, and 1 more with each retry.
        branch: ``""`` for the run itself, else the path of a branch such as ``2/b0``.
        parent_run_id: Temporal run id of the interpreter that started the branch.
        parent_first_run_id: First run id of the chain that this interpreter belongs to.
        is_replay: Actions that are not safe to replay are skipped.
        is_dry_run: Only conditions are evaluated.
        database: Id of the database that has the run; None in runs older than this field.
    """

    run_id: str
    tenant_id: str
    generation: int = 1
    branch: str = ""
    parent_run_id: Annotated[str | None, _shown_if_set] = None
    parent_first_run_id: Annotated[str | None, _shown_if_set] = None
    is_replay: Annotated[bool, _shown_if_set] = False
    is_dry_run: Annotated[bool, _shown_if_set] = False
    database: Annotated[str | None, _shown_if_set] = None


class Terms(Payload):
    """Options of a worker on which steps are delivered, in milliseconds; see ``EngineOptions``."""

    action_timeout_ms: int
    heartbeat_timeout_ms: int
    local_limit_ms: int


class InterpreterInput(Payload):
    """Starts the workflow of a run or of a branch.

    Attributes:
        version: Of this payload's meaning; raised when that changes.
        scope: What to interpret.
        title: Name of the definition or of the parallel step.
        steps: The skeleton of this list of steps.
        has_delays: Some list of the run has a delay, so the run may come to wait.
        task_timeout_ms: Bound of one workflow task, for child workflows.
        terms: Of the process that starts the run; see ``StepInput.begins``.
    """

    version: Literal[1] = 1
    scope: Scope
    title: str
    steps: tuple[StepSkeleton, ...]
    has_delays: bool
    task_timeout_ms: int
    terms: Terms


class ExecutionRef(Payload):
    """Who asks: a scope and its first execution; Temporal adds the present one's run id."""

    scope: Scope
    first_execution_run_id: str


class Refusal(Payload):
    """Why an interpreter may not go on.

    ``canceled``: the run is canceled. ``superseded``: another execution writes for it.
    ``failed``: it has failed. ``ended``: it is over otherwise. ``unknown``: no such run.
    """

    kind: Literal["refused"] = "refused"
    reason: Literal["canceled", "superseded", "failed", "ended", "unknown"]
    message: str


class Beginning(Payload):
    """Allows an interpreter to go on, from where its list stands.

    Attributes:
        ended: Index ranges, both ends included, of steps in this list that are already over.
        ended_branches: Per index of a parallel step, its branches that are already over.
        local: Indexes of the steps whose first delivery is a local activity.
        terms: Of the worker, for all further deliveries.
    """

    kind: Literal["beginning"] = "beginning"
    ended: tuple[tuple[int, int], ...] = ()
    ended_branches: dict[int, tuple[int, ...]] = Field(default_factory=dict)
    local: tuple[int, ...] = ()
    terms: Terms


class Answer(RootModel[Reply | Refusal], Generic[Reply]):
    """An activity's answer: a reply of its own kind, or a refusal."""


BeginAnswer = Answer[Beginning]


class StepInput(ExecutionRef):
    """Asks for one attempt of an action or a condition.

    Attributes:
        path: The step.
        type: Whether an action or a condition.
        handler: Name of the handler; also the activity's type.
        timeout_ms: Bound of the attempt.
        waited_after: Failed attempt whose pause a workflow timer has waited out; 0: none.
        tried_for_ms: A local trial that takes longer is given up and queued; 0: no trial.
        begins: The list begins with this delivery's claim. A worker whose terms differ only
            begins it, as ``timeout_ms`` was computed from these.
        ends: The run is complete when this step is, in one write with its result.
        was_lost: A local delivery of this step has ended without a record.
    """

    path: str
    type: Literal["action", "condition"]
    handler: str
    timeout_ms: int
    waited_after: Annotated[int, _shown_if_set] = 0
    tried_for_ms: Annotated[int, _shown_if_set] = 0
    begins: Annotated[Terms | None, _shown_if_set] = None
    ends: Annotated[bool, _shown_if_set] = False
    was_lost: Annotated[bool, _shown_if_set] = False


class StepDone(Payload):
    """A step has its result on record.

    Attributes:
        value: A condition's answer; None for actions.
        result: A small result, shown in Temporal's history; the full one is in Postgres.
        skipped: A replay skipped the action.
        beginning: Of the list, when this delivery was to begin it.
        deferred: There is no result yet: the step needs another delivery, through the queue.
        ended: The run was completed together with this step.
    """

    kind: Literal["done"] = "done"
    value: bool | None = None
    result: JsonValue = None
    skipped: Annotated[bool, _shown_if_set] = False
    beginning: Annotated[Beginning | None, _shown_if_set] = None
    deferred: Annotated[bool, _shown_if_set] = False
    ended: Annotated[bool, _shown_if_set] = False


StepAnswer = Answer[StepDone]


class AttemptFailure(Payload):
    """Details of ``PulseAttemptFailed``.

    Attributes:
        attempt: Attempts used in this generation.
        max_attempts: Attempts granted.
        retry_in_ms: Pause before the next one; None when there is none.
        message: What went wrong, cut to a readable length.
    """

    attempt: int
    max_attempts: int
    retry_in_ms: int | None
    message: str


class DelayInput(ExecutionRef):
    """Begins or ends a delay, on Temporal's clock.

    Attributes:
        path: The step.
        now_ms: Workflow time, milliseconds since 1970 UTC.
        until_ms: When a delay that begins now ends.
    """

    path: str
    now_ms: int
    until_ms: int = 0


class DelayBegun(Payload):
    """When a delay ends; sooner than asked for if an earlier execution had begun it."""

    kind: Literal["begun"] = "begun"
    until_ms: int


DelayAnswer = Answer[DelayBegun]


class SkipInput(ExecutionRef):
    """Skips steps; ``by`` is the path of the condition that was false."""

    paths: tuple[str, ...]
    by: str


class ParallelInput(ExecutionRef):
    """Begins a parallel step, or ends it; with ``error`` it ends as failed.

    ``begins``: its list begins too. ``ends``: the run completes when the step does.
    """

    path: str
    error: str | None = None
    begins: Annotated[bool, _shown_if_set] = False
    ends: Annotated[bool, _shown_if_set] = False


class EndBranchInput(ExecutionRef):
    """Terminates the workflow of a branch that an earlier execution of this list started."""

    path: str


class FinishInput(ExecutionRef):
    """Ends a run; with ``error`` as failed, else as completed."""

    error: str | None = None


class CancelInput(ExecutionRef):
    """Records a cancellation that came from Temporal.

    Attributes:
        reason: Why, as Temporal was told.
        tell_temporal: It came from Postgres instead: the workflow is a reset of a canceled run.
    """

    reason: str
    tell_temporal: Annotated[bool, _shown_if_set] = False


class Written(Payload):
    """A mirror write is done, now or earlier; it may have ended a run or begun a list."""

    kind: Literal["written"] = "written"
    status: Annotated[RunStatus | None, _shown_if_set] = None
    beginning: Annotated[Beginning | None, _shown_if_set] = None


WriteAnswer = Answer[Written]


class CronClock(Payload):
    """Whose cron a Temporal Schedule keeps, as it was when the schedule was made.

    Attributes:
        definition_id: The definition.
        tenant_id: Its owner.
        cron_expression: As its author wrote it.
        timezone: IANA zone, ``UTC`` when the author named none.
        database: Id of the database that has the definition; None in schedules older than this.
    """

    definition_id: str
    tenant_id: str
    cron_expression: str
    timezone: str
    database: Annotated[str | None, _shown_if_set] = None


class CronTickInput(Payload):
    """Asks to emit a tick's signal.

    Attributes:
        clock: The schedule that ticked.
        nominal_ms: The time that it names, milliseconds since 1970 UTC.
        started_ms: When it started; later in a backfill.
    """

    clock: CronClock
    nominal_ms: int
    started_ms: int


class CronTicked(Payload):
    """What became of a tick, for people: its signal and its runs, or why it emitted nothing."""

    trigger_id: str | None = None
    run_ids: tuple[str, ...] = ()
    skipped: str | None = None


class Failure(Payload):
    """The step that ended a list of steps, and why; details of run and branch failures."""

    path: str
    name: str
    message: str


def workflow_id(run_id: str, generation: int) -> str:
    """Return the id of a run's workflow: the run id, with ``:generation`` after a retry."""
    # Under one id, a retry would join the execution that is just closing, and be lost with it.
    return run_id if generation == 1 else f"{run_id}:{generation}"


def branch_workflow_id(run_id: str, generation: int, branch: str) -> str:
    """Return the id of the workflow of a branch; for ``""`` that of the run itself."""
    root = workflow_id(run_id, generation)
    return f"{root}/{branch}" if branch else root


def schedule_id(queue_prefix: str, definition_id: str) -> str:
    """Return the id of a definition's schedule; the ids of its ticks begin with it."""
    return f"{queue_prefix}-cron-{definition_id}"


def fairness_key(tenant_id: str) -> str:
    """Return the key by which Temporal shares capacity among tenants: the id, or its SHA-256."""
    if len(tenant_id.encode()) <= FAIRNESS_KEY_BYTES:
        return tenant_id
    return sha256(tenant_id.encode()).hexdigest()
