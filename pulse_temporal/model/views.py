"""Runs as pages, lists and the command line show them: without contexts, snapshots and results.

Rows may have been written by another release or by the TypeScript Pulse: a moment may be absent
wherever it is optional here, and a status, a kind of step or of segment may be unknown.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, JsonValue

from pulse_temporal.model.paths import Path
from pulse_temporal.model.runs import ExecutionLog, RunStatus, StepAttempt, StepStatus
from pulse_temporal.model.values import Flag, JsonObject, Value

SUMMARY_ERROR_CHARS = 500
STEP_ERROR_CHARS = 300

Attention = Literal["retrying", "blocked", "late"]
"""Why somebody may want to look at an open run.

``blocked``: a step cannot start, as no worker knows its handler. ``retrying``: an attempt has
failed and the step goes on, from that failure until it succeeds or has failed for good.
``late``: the run is pending and no worker has taken it for half a minute. Of several, the first.
"""

ATTENTIONS: tuple[Attention, ...] = ("blocked", "retrying", "late")
"""Most urgent first."""

SegmentKind = Literal[
    "queue",
    "run",
    "ok",
    "failed",
    "timed_out",
    "lost",
    "released",
    "canceled",
    "backoff",
    "sleep",
    "block",
]


class Segment(Value):
    """A stretch of time in the life of a step: one bar of its row in a waterfall.

    Attributes:
        kind: ``queue``: ready, and no worker has taken it. ``run``: an attempt that goes on.
            ``ok``, ``failed``, ``timed_out``, ``lost``, ``released``, ``canceled``: an attempt
            that ended so. ``backoff``: the pause between two attempts. ``sleep``: a delay.
            ``block``: a parallel step, from its start to its join. The status of an attempt that
            only a newer release knows stands here as it is stored.
        end: None: it goes on. Never before ``start``, whatever the clocks of the machines said.
        attempt: Number of the attempt, or of the one that a pause or a queue leads to; counted
            anew in each generation. None for a sleep or a block.
        claim: Number of that delivery of the step, unique in the step's whole life; None where
            there is none yet, and for a sleep or a block.
        generation: Generation of the run that it belongs to.
    """

    kind: SegmentKind | str
    start: AwareDatetime
    end: AwareDatetime | None = None
    attempt: int | None = None
    claim: int | None = None
    generation: int = 1


class StepSummary(Value):
    """One step of a run, without its result.

    Attributes:
        id: ``stp_`` + UUIDv7.
        path: Position in the run, for example ``2/b0/1``.
        uses: The handler's name when it differs from ``name``.
        status: A status of a newer release is shown as it is stored.
        attention: ``blocked`` or ``retrying``; None for all other steps.
        attempt: Attempts used in this generation; lost workers do not count.
        max_attempts: Attempts that its policy grants.
        next_attempt_at: When the next attempt is due after a failed one.
        scheduled_for: When a delay ends.
        error_message: Of the newest failure, cut to 300 characters.
        skipped_by: Path of the condition, or the reason, that skipped it.
        blocked_reason: Why it cannot start.
        blocked_since: Since when.
        result_bytes: Size of its result as JSON text; None: there is none, or it is not known.
        log_lines: Lines that were written for it.
        warnings: Those of them that are not of level ``info``.
        generation: Generation of the run that last touched it.
        segments: Its life so far, in order of time; of earlier generations too.
    """

    id: str
    path: Path
    name: str
    type: str
    uses: str | None = None
    status: StepStatus | str
    attention: Attention | None = None
    attempt: int = 0
    max_attempts: int = 1
    next_attempt_at: AwareDatetime | None = None
    scheduled_for: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    error_message: str | None = None
    skipped_by: str | None = None
    blocked_reason: str | None = None
    blocked_since: AwareDatetime | None = None
    result_bytes: int | None = None
    log_lines: int = 0
    warnings: int = 0
    generation: int = 1
    segments: tuple[Segment, ...] = ()

    @property
    def handler(self) -> str:
        """Name under which the handler is registered."""
        return self.uses or self.name


class CurrentStep(Value):
    """The step that says why a run stands where it stands.

    Of an open run the blocked one, else the one that is retried, else the first that is at work
    or waits; of a failed run the first that failed.

    Attributes:
        next_attempt_at: When the next attempt is due after a failed one.
        scheduled_for: When a delay ends.
        error_message: Of the newest failure, cut to 300 characters.
    """

    path: Path
    name: str
    type: str
    status: StepStatus | str
    attempt: int = 0
    max_attempts: int = 1
    next_attempt_at: AwareDatetime | None = None
    scheduled_for: AwareDatetime | None = None
    blocked_reason: str | None = None
    error_message: str | None = None


class RunSummary(Value):
    """One run as a list shows it.

    Attributes:
        id: ``run_`` + UUIDv7.
        definition_name: As the definition is called now.
        definition_version: The version that the run has frozen; None for runs that were planned
            by a release before this field.
        signal_id: The signal that started it.
        environment: Of the signal, as are ``signal_type``, ``resource_type``, ``resource_id``.
        status: A status of a newer release is shown as it is stored.
        attention: Why to look at it; None for runs that are over.
        current_step: None for runs that are completed or canceled, or have not begun.
        steps_done: Steps that completed or were skipped.
        steps: All steps, those of branches too.
        error_message: Why it failed, cut to 500 characters.
        generation: 1, and 1 more with every retry.
        ended_at: When it completed, failed or was canceled.
        queued_ms: From its creation to its first step; None before that.
        duration_ms: From its start, or its creation when it never started, to its end; None
            while it is open.
    """

    id: str
    tenant_id: str
    definition_id: str
    definition_name: str
    definition_version: int | None = None
    signal_id: str
    signal_type: str
    resource_type: str | None = None
    resource_id: str | None = None
    environment: str | None = None
    status: RunStatus | str
    attention: Attention | None = None
    current_step: CurrentStep | None = None
    steps_done: int = 0
    steps: int = 0
    error_message: str | None = None
    is_replay: Flag = False
    is_dry_run: Flag = False
    generation: int = 1
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    queued_ms: int | None = None
    duration_ms: int | None = None


NoticeKind = Literal["blocked", "no_worker", "retrying", "pending", "restarted", "foreign"]


class Notice(Value):
    """Something about a run that a person should see first.

    Attributes:
        kind: ``blocked``: a step cannot start. ``no_worker``: no live worker takes from the run's
            queue. ``retrying``: a step failed and goes on. ``pending``: no worker has taken the
            run for half a minute. ``restarted``: Temporal had lost it, and the reconciler started
            it again. ``foreign``: the TypeScript Pulse owns it.
        path: The step that it is about; None for the run.
        name: Of that step.
        reason: Why, in words, where that is on record; cut to 300 characters.
        since: Since when, or when it happened.
        until: When it ends by itself: a blocked step fails, the next attempt begins.
    """

    kind: NoticeKind
    path: Path | None = None
    name: str | None = None
    reason: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class TemporalPlace(Value):
    """Where Temporal has a run, for links into its own pages.

    Attributes:
        workflow_id: Of the present generation.
        run_id: Of the execution that writes for the run; None while none has begun.
    """

    namespace: str
    workflow_id: str
    run_id: str | None = None


class RunView(Value):
    """A run with its steps, as its page shows it.

    Attributes:
        run: As in a list.
        steps: All of them, in document order.
        notices: Most urgent first.
        temporal: Where Temporal has it.
        definition_version_now: The definition's version now; None when it is deleted.
        source: Of the signal.
        caused_by_run_id: The run whose handler emitted the signal; None when the application did.
        depth: Number of signals before that one in its chain.
        replay_of_run_id: The run that this one repeats.
        cancel_reason: Why it was canceled, cut to 1 000 characters.
        task_queue: The engines that share this queue share the run; None for foreign runs.
        updated_at: When its row last changed.
    """

    run: RunSummary
    steps: tuple[StepSummary, ...] = ()
    notices: tuple[Notice, ...] = ()
    temporal: TemporalPlace
    definition_version_now: int | None = None
    source: str
    caused_by_run_id: str | None = None
    depth: int = 0
    replay_of_run_id: str | None = None
    cancel_reason: str | None = None
    task_queue: str | None = None
    updated_at: AwareDatetime


class StepView(Value):
    """One step of a run with all that is on record about it.

    Attributes:
        step: As in the view of its run.
        config: What its handler is given: the definition's, and the step's over it. None when
            the definition is not understood by this release.
        context_bytes: Size of the results of earlier steps that its handler sees, as JSON text.
        result: What the handler returned; ``{"value": ...}`` for a condition.
        error_message: Of the newest failure, not cut.
        attempts: Deliveries of the step, of all generations, in the order of ``claim``.
        chosen: The attempt that was asked for, or the newest; None while there is none.
        logs: Lines that were written for the chosen attempt, oldest first, at most 500; without
            an attempt, those of the step.
    """

    step: StepSummary
    config: JsonObject | None = None
    context_bytes: int = 0
    result: JsonValue = None
    error_message: str | None = None
    attempts: tuple[StepAttempt, ...] = ()
    chosen: StepAttempt | None = None
    logs: tuple[ExecutionLog, ...] = ()


class BoundedCount(Value):
    """How many there are, counted up to a bound.

    Attributes:
        count: Never more than the bound.
        is_bounded: Counting ended at the bound: there may be more.
    """

    count: int
    is_bounded: Flag = False


class RunCounts(Value):
    """How many runs of a list stand how, each count bounded by 10 000.

    ``retrying``, ``blocked`` and ``late`` are counted among the open ones too.
    """

    pending: BoundedCount
    running: BoundedCount
    waiting: BoundedCount
    completed: BoundedCount
    failed: BoundedCount
    canceled: BoundedCount
    retrying: BoundedCount
    blocked: BoundedCount
    late: BoundedCount


class FailureGroup(Value):
    """Failed runs of one definition that failed at the same step with the same error.

    Attributes:
        definition_name: As the definition is called now.
        step_name: None when no step failed.
        path: Of that step in the newest run.
        error: Error message with ``#`` for every number and every hexadecimal id, cut to 300
            characters.
        runs: How many of the runs that were looked at.
        first_failed_at: Of the oldest of them.
        last_failed_at: Of the newest.
        sample_run_id: The newest.
        sample_error: Its error message, cut to 500 characters.
    """

    tenant_id: str
    definition_id: str
    definition_name: str
    step_name: str | None = None
    path: Path | None = None
    error: str | None = None
    runs: int
    first_failed_at: AwareDatetime | None = None
    last_failed_at: AwareDatetime | None = None
    sample_run_id: str
    sample_error: str | None = None
