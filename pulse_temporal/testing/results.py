"""What a test gets to see of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulse_temporal.model.runs import (
    ExecutionLog,
    RunStatus,
    StepAttempt,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.model.values import JsonObject
from pulse_temporal.testing.timelines import timeline_lines


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run as it stood when the result was made, with all that is known about it.

    Attributes:
        run: The run.
        steps: Its step runs, in document order.
        timeline: What happened, in order. Moments of delays are those of Temporal's clock,
            which the test moved; all others are real time.
        logs: What its handlers wrote.
        attempts: The deliveries of its steps, with the tracebacks of those that failed.
    """

    run: WorkflowRun
    steps: Sequence[WorkflowStepRun]
    timeline: Sequence[RunTimelineEntry]
    logs: Sequence[ExecutionLog]
    attempts: Sequence[StepAttempt] = ()

    @property
    def id(self) -> str:
        """Id of the run."""
        return self.run.id

    @property
    def status(self) -> RunStatus | str:
        """Status of the run."""
        return self.run.status

    @property
    def context(self) -> JsonObject:
        """Results of the actions by step name."""
        return self.run.context

    @property
    def lines(self) -> list[str]:
        """The timeline in short lines, without logs; for ``assert result.lines == [...]``."""
        return timeline_lines(self.timeline)

    @property
    def statuses(self) -> dict[str, str]:
        """Statuses of the steps by name."""
        return {step.step_name: step.status for step in self.steps}

    @property
    def tracebacks(self) -> str:
        """Where its handlers failed, as the message of an ``assert`` about the result."""
        return "\n".join(
            f"{each.step_name}, attempt {each.attempt}:\n{each.traceback or each.error_message}"
            for each in self.attempts
            if each.error_message is not None
        )

    def step(self, name: str) -> WorkflowStepRun:
        """Return the step run of a step.

        Raises:
            LookupError: The definition has no step of that name.
        """
        for step in self.steps:
            if step.step_name == name:
                return step
        known = ", ".join(step.step_name for step in self.steps)
        raise LookupError(f"The run has no step {name!r}; its steps are: {known}.")
