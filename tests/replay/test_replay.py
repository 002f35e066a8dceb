"""The interpreter of today still takes every decision that is on record.

A failure here means that open runs would get stuck after an upgrade: guard the change with
``workflow.patched``. ``record.py`` says how the histories are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from pydantic import JsonValue, TypeAdapter
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent, MarkerRecordedEventAttributes
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from pulse_temporal.contract import InterpreterInput, StepSkeleton
from pulse_temporal.workflows.pulse import PulseBranch, PulseRun
from pulse_temporal.workflows.tick import PulseCronTick
from tests.replay.record import HISTORIES, SCENARIOS, SCRUBBED
from tests.sandbox import workflow_runner

Json = dict[str, JsonValue]
parse = TypeAdapter(Json).validate_json


@dataclass
class Recorded:
    """A history as it is on file, open to changes."""

    file: str
    workflow_id: str
    events: list[Json]

    def history(self) -> WorkflowHistory:
        """Return it to replay."""
        return WorkflowHistory.from_json(self.workflow_id, {"events": self.events})

    def label(self) -> str:
        """Name it for people."""
        branch = self.workflow_id.partition("/")[2]
        return f"{self.file}{'/' if branch else ''}{branch}"


def recorded(file: str = "*") -> Iterator[Recorded]:
    """Read the histories on file."""
    for path in sorted(HISTORIES.glob(f"{file}.jsonl")):
        found: Recorded | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            value = parse(line)
            if "workflowId" in value:
                if found:
                    yield found
                found = Recorded(path.stem, str(value["workflowId"]), [])
            elif found:
                found.events.append(value)
        if found:
            yield found


async def replay(history: WorkflowHistory) -> None:
    """Replay a history.

    Raises:
        NondeterminismError: The interpreter decides otherwise today.
    """
    replayer = Replayer(
        workflows=[PulseRun, PulseBranch, PulseCronTick],
        workflow_runner=workflow_runner(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("case", list(recorded()), ids=Recorded.label)
async def test_a_recorded_history_replays(case: Recorded) -> None:
    await replay(case.history())


def test_every_scenario_is_on_file() -> None:
    assert {case.file for case in recorded()} >= set(SCENARIOS)


def test_every_kind_of_command_is_on_file() -> None:
    """Else a change of how the interpreter uses it would go unnoticed."""
    kinds = {str(event["eventType"]) for case in recorded() for event in case.events}
    assert kinds >= {
        f"EVENT_TYPE_{kind}"
        for kind in (
            "ACTIVITY_TASK_SCHEDULED",
            "ACTIVITY_TASK_CANCEL_REQUESTED",
            "MARKER_RECORDED",
            "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED",
            "START_CHILD_WORKFLOW_EXECUTION_FAILED",
            "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
            "CHILD_WORKFLOW_EXECUTION_TERMINATED",
            "TIMER_CANCELED",
            "TIMER_STARTED",
            "WORKFLOW_EXECUTION_CANCELED",
            "WORKFLOW_EXECUTION_COMPLETED",
            "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
            "WORKFLOW_EXECUTION_FAILED",
        )
    }


def test_nothing_on_file_tells_of_a_machine() -> None:
    for path in HISTORIES.glob("*.jsonl"):
        text = path.read_text(encoding="utf-8")
        assert not [field for field in SCRUBBED if f'"{field}"' in text]
        stickies = re.findall(r'"kind": "TASK_QUEUE_KIND_STICKY", "name": "([^"]*)"', text)
        assert set(stickies) <= {"sticky"}


def events_of(history: WorkflowHistory, kind: EventType.ValueType) -> list[HistoryEvent]:
    """Return the events of one kind."""
    return [event for event in history.events if event.event_type == kind]


def another_handler(history: WorkflowHistory) -> None:
    """Record that another handler was called."""
    event = events_of(history, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)[0]
    event.activity_task_scheduled_event_attributes.activity_type.name = "another"


def two_local_activities_swapped(history: WorkflowHistory) -> None:
    """Record that a condition was asked after the action that follows it."""
    first, second = events_of(history, EventType.EVENT_TYPE_MARKER_RECORDED)
    exchanged = MarkerRecordedEventAttributes()
    exchanged.CopyFrom(first.marker_recorded_event_attributes)
    first.marker_recorded_event_attributes.CopyFrom(second.marker_recorded_event_attributes)
    second.marker_recorded_event_attributes.CopyFrom(exchanged)


def two_branches_swapped(history: WorkflowHistory) -> None:
    """Record that the second branch was started before the first."""
    kind = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    first, second = (
        event.start_child_workflow_execution_initiated_event_attributes
        for event in events_of(history, kind)
    )
    first.workflow_id, second.workflow_id = second.workflow_id, first.workflow_id


def with_steps(
    history: WorkflowHistory, change: Callable[[Sequence[StepSkeleton]], Sequence[StepSkeleton]]
) -> None:
    """Let the interpreter read other steps than those that were interpreted."""
    attributes = history.events[0].workflow_execution_started_event_attributes
    (payload,) = attributes.input.payloads
    job = InterpreterInput.model_validate_json(payload.data)
    changed = job.model_copy(update={"steps": tuple(change(job.steps))})
    payload.data = changed.model_dump_json().encode()


def steps_in_another_order(history: WorkflowHistory) -> None:
    with_steps(history, lambda steps: [*steps[1:], steps[0]])


def one_step_less(history: WorkflowHistory) -> None:
    with_steps(history, lambda steps: steps[:-1])


def one_step_more(history: WorkflowHistory) -> None:
    with_steps(history, lambda steps: [steps[0], *steps])


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("queued_action", another_handler),
        ("short_steps", two_local_activities_swapped),
        ("branches", two_branches_swapped),
        ("waits", steps_in_another_order),
        ("waits", one_step_less),
        ("waits", one_step_more),
        ("skips", steps_in_another_order),
        ("branches", one_step_less),
    ],
)
async def test_another_order_of_commands_is_noticed(
    file: str, change: Callable[[WorkflowHistory], None]
) -> None:
    """A replay test that cannot fail would prove nothing."""
    history = next(recorded(file)).history()
    change(history)
    with pytest.raises(workflow.NondeterminismError):
        await replay(history)
