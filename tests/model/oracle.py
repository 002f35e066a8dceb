"""What a run must come to: the rules of interpretation once more, in plain Python.

Written from the rules as they are documented (README, docs/concepts, docs/how-to), not from the
code that it judges. No time passes here, nothing is concurrent, nothing breaks.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import JsonValue

from pulse_temporal import (
    ActionStep,
    ConditionStep,
    DelayStep,
    ParallelStep,
    WorkflowStep,
)
from pulse_temporal.model.paths import branch_path, branch_prefix_of, child_path
from pulse_temporal.model.runs import RunStatus, StepStatus
from pulse_temporal.model.steps import OnFalse, walk
from pulse_temporal.model.values import JsonObject
from tests.model.cases import Answer, Bad, Case, Fail, Failure, Move, Ok

Mode: TypeAlias = Literal["first", "replay", "dry run"]

REPLAY_SAFE = "act_safe"
IN_TRANSACTION = "act_in_transaction"
ERRORS: Mapping[Failure, str] = {
    "raises": "RuntimeError: no",
    "raises for good": "NonRetryableError: no",
    "refuses": "ActionFailedError: no",
    "refuses for good": "ActionFailedError: no",
    "asks for a pause": "RetryAfterError: no",
}
ENDS_AT_ONCE = frozenset({"raises for good", "refuses for good"})


@dataclass(frozen=True)
class Call:
    """One call of a handler: its number in this generation, and the context that it saw."""

    attempt: int
    context: JsonObject


@dataclass(frozen=True)
class Sent:
    """A signal that is stored, and which emit of its type in the step it is."""

    path: str
    type: str
    ordinal: int


@dataclass
class StepStory:
    """What is known about a step at the end.

    Attributes:
        error: Regular expression that its error's text matches; None when there is none.
        is_open_again: A retry of the run has taken it back.
    """

    status: StepStatus | str = "pending"
    attempt: int = 0
    skipped_by: str | None = None
    result: JsonObject | None = None
    error: str | None = None
    is_open_again: bool = False


@dataclass
class RunStory:
    """What is known about a run at the end.

    Attributes:
        error: As for a step.
        failed_at: Position in the root list at which it failed.
        calls: By path, over all generations.
        lines: What happened in each list of steps, in order, by the list's prefix. The lists
            of branches run side by side, so no order holds between two of them.
        effects: Paths of the transactional actions whose effect is there.
    """

    mode: Mode
    status: RunStatus = "completed"
    error: str | None = None
    failed_at: int | None = None
    context: JsonObject = field(default_factory=dict[str, JsonValue])
    steps: dict[str, StepStory] = field(default_factory=dict[str, StepStory])
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sent: list[Sent] = field(default_factory=list[Sent])
    effects: list[str] = field(default_factory=list[str])

    def tell(self, what: str, path: str, step: WorkflowStep) -> None:
        """Write a line about a step."""
        self.lines[branch_prefix_of(path)].append(f"{what} {step.name}")


def foretell(case: Case) -> list[RunStory]:
    """Return what becomes of the run of a case, and of the replays that follow, in order."""
    moves = {step.name: case.moves(step.name) for _, step in walk(case.parsed())}
    first = _Player(case, moves, RunStory("first")).play(retries=case.retries)
    replays = [
        _Player(case, moves, RunStory(mode), original=first).play(retries=0)
        for mode in case.replays
    ]
    return [first, *replays]


class _Player:
    """Plays one run, generation after generation."""

    def __init__(
        self,
        case: Case,
        moves: Mapping[str, Iterator[Move | None]],
        story: RunStory,
        *,
        original: RunStory | None = None,
    ) -> None:
        self.steps = case.parsed()
        self.moves = moves
        self.story = story
        self.original = original
        self.story.steps = {path: StepStory() for path, _ in walk(self.steps)}

    def play(self, *, retries: int) -> RunStory:
        story = self.story
        story.lines[""].append("run_created")
        story.error = self._generation()
        for _ in range(retries):
            if story.error is None:
                break
            self._reset()
            story.error = self._generation()
        story.context = self._results(self.steps, "")
        return story

    def _generation(self) -> str | None:
        error = self._list(self.steps, "", {})
        self.story.status = "failed" if error else "completed"
        self.story.lines[""].append(f"run_{self.story.status}")
        self.story.failed_at = next(
            (i for i in range(len(self.steps)) if self.story.steps[str(i)].status == "failed"),
            None,
        )
        return error

    def _reset(self) -> None:
        """Take failed steps back; a block goes on, it does not start once more."""
        for path, step in walk(self.steps):
            known = self.story.steps[path]
            if known.status == "failed":
                self.story.steps[path] = StepStory(is_open_again=True)
                self.story.tell("step_scheduled", path, step)

    def _list(self, steps: Sequence[WorkflowStep], prefix: str, context: JsonObject) -> str | None:
        """Do one list, from where it stopped; give the error that ended it."""
        for index, step in enumerate(steps):
            path = child_path(prefix, index)
            if self.story.steps[path].status == "pending":
                error = self._step(step, path, context)
                if error is not None:
                    self.story.steps[path].status = "failed"
                    self.story.steps[path].error = error
                    return f"{re.escape(step.name)}: {error}"
                self._decide(steps, prefix, index)
            context.update(self._results([step], prefix, start=index))
        return None

    def _decide(self, steps: Sequence[WorkflowStep], prefix: str, index: int) -> None:
        """After a condition that was false: skip what it says."""
        step, path = steps[index], child_path(prefix, index)
        if not isinstance(step, ConditionStep):
            return
        if self.story.steps[path].result != {"value": False}:
            return
        for passed in range(index + 1, min(_after(step.on_false, index), len(steps))):
            self._skip(steps[passed], child_path(prefix, passed), by=path)

    def _skip(self, step: WorkflowStep, path: str, *, by: str) -> None:
        known = self.story.steps[path]
        known.status, known.skipped_by = "skipped", by
        self.story.tell("step_skipped", path, step)
        if isinstance(step, ParallelStep):
            for number, branch in enumerate(step.branches):
                for index, inner in enumerate(branch):
                    inner_path = child_path(branch_path(path, number), index)
                    self._skip(inner, inner_path, by=by)

    def _step(self, step: WorkflowStep, path: str, context: JsonObject) -> str | None:
        if isinstance(step, ParallelStep):
            return self._parallel(step, path, context)
        if self._is_passed_over(step):
            self._skip(step, path, by="replay" if self.story.mode == "replay" else "dry run")
            if self.original:
                self.story.steps[path].result = self.original.steps[path].result
            return None
        if isinstance(step, DelayStep):
            self.story.tell("step_scheduled", path, step)
            self.story.tell("step_completed", path, step)
            self.story.steps[path].status = "completed"
            return None
        return self._attempts(step, path, context)

    def _is_passed_over(self, step: WorkflowStep) -> bool:
        match self.story.mode:
            case "first":
                return False
            case "replay":
                return isinstance(step, ActionStep) and step.handler != REPLAY_SAFE
            case "dry run":
                return isinstance(step, (ActionStep, DelayStep))

    def _parallel(self, step: ParallelStep, path: str, context: JsonObject) -> str | None:
        if not self.story.steps[path].is_open_again:
            self.story.tell("step_started", path, step)
        errors: list[str] = []
        for number, branch in enumerate(step.branches):
            error = self._list(branch, branch_path(path, number), dict(context))
            if error:
                errors.append(f"branch {number}: {error}")
        self.story.tell("step_failed" if errors else "step_completed", path, step)
        if errors:
            return "; ".join(errors)
        self.story.steps[path].status = "completed"
        return None

    def _attempts(
        self, step: ActionStep | ConditionStep, path: str, context: JsonObject
    ) -> str | None:
        granted = step.retry_policy.max_attempts if step.retry_policy else 1
        known = self.story.steps[path]
        while True:
            known.attempt += 1
            self.story.calls[path].append(Call(known.attempt, dict(context)))
            self.story.tell("step_started", path, step)
            move = next(self.moves[step.name])
            error, is_final = self._attempt(step, path, move)
            self.story.tell("step_failed" if error else "step_completed", path, step)
            if error is None:
                known.status = "completed"
                return None
            if is_final or known.attempt == granted:
                return error

    def _attempt(
        self, step: ActionStep | ConditionStep, path: str, move: Move | None
    ) -> tuple[str | None, bool]:
        """Do one call; give its error, and whether that rules out another one."""
        in_transaction = step.handler == IN_TRANSACTION
        if move and (isinstance(move, Ok) or not in_transaction):
            self._emit(move.emits, path)
        match move:
            case Fail(how="hangs"):
                return "HandlerTimeoutError: .*", False
            case Fail(how=how):
                return re.escape(ERRORS[how]), how in ENDS_AT_ONCE
            case Bad():
                return "HandlerResultError: .*", True
            case Answer(value=value):
                self.story.steps[path].result = {"value": value}
            case Ok(data=data):
                self.story.steps[path].result = data
            case None:
                is_action = isinstance(step, ActionStep)
                self.story.steps[path].result = None if is_action else {"value": True}
        if in_transaction:
            self.story.effects.append(path)
        return None, False

    def _emit(self, types: Sequence[str], path: str) -> None:
        """Store what the step has not emitted before: by type, and count within the type."""
        if self.story.mode == "dry run":
            return
        known = {(sent.type, sent.ordinal) for sent in self.story.sent if sent.path == path}
        for position, type_ in enumerate(types):
            ordinal = types[:position].count(type_)
            if (type_, ordinal) not in known:
                self.story.sent.append(Sent(path, type_, ordinal))

    def _results(
        self, steps: Sequence[WorkflowStep], prefix: str, *, start: int = 0
    ) -> JsonObject:
        """Return the results of actions in these steps and below them, by name."""
        found: JsonObject = {}
        for index, step in enumerate(steps, start):
            path = child_path(prefix, index)
            result = self.story.steps[path].result
            if isinstance(step, ActionStep) and result is not None:
                found[step.name] = result
            if isinstance(step, ParallelStep):
                for number, branch in enumerate(step.branches):
                    found.update(self._results(branch, branch_path(path, number)))
        return found


def _after(on_false: OnFalse, index: int) -> int:
    """Return the position of the step that follows a condition that was false."""
    match on_false:
        case "complete":
            return sys.maxsize
        case "skip":
            return index + 2
        case int():
            return index + 1 + on_false
