"""Statuses and their transitions; the values of runs and step runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import pytest
from pydantic import ValidationError

from pulse_temporal.errors import InvalidInputError, RunTransitionError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.runs import (
    RUN_TRANSITIONS,
    STEP_TRANSITIONS,
    TERMINAL_RUN_STATUSES,
    TERMINAL_STEP_STATUSES,
    ActionResult,
    Page,
    RunFilter,
    RunStatus,
    StepStatus,
    WorkflowRun,
    WorkflowStepRun,
    check_run_transition,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN_PAIRS = {
    "pending": "running canceled failed",
    "running": "waiting completed failed canceled",
    "waiting": "running completed failed canceled",
    "failed": "running",
}
STEP_PAIRS = {
    "pending": "scheduled running skipped failed",
    "scheduled": "running completed skipped failed",
    "running": "completed failed running scheduled",
    "failed": "pending running",
}


def make_run(*, generation: int = 1) -> WorkflowRun:
    return WorkflowRun(
        id="run_1",
        definition_id="wfd_1",
        tenant_id="acme",
        trigger_id="trg_1",
        status="running",
        definition_snapshot=DefinitionSnapshot(
            name="n", trigger_type="t", steps=[], definition_id="wfd_1"
        ),
        generation=generation,
        created_at=NOW,
        updated_at=NOW,
    )


def make_step(*, uses: str | None = None) -> WorkflowStepRun:
    return WorkflowStepRun(
        id="stp_1",
        run_id="run_1",
        tenant_id="acme",
        step_index=0,
        step_type="action",
        step_name="charge",
        status="pending",
        path="0",
        uses=uses,
        created_at=NOW,
    )


@pytest.mark.parametrize(("current", "target"), list(product(get_args(RunStatus), repeat=2)))
def test_a_run_changes_status_as_the_table_says(current: RunStatus, target: RunStatus) -> None:
    if target in RUN_PAIRS.get(current, "").split():
        check_run_transition("run_1", current, target)
    else:
        with pytest.raises(RunTransitionError, match=f"is '{current}' and cannot become"):
            check_run_transition("run_1", current, target)


@pytest.mark.parametrize("status", get_args(StepStatus))
def test_a_step_changes_status_as_the_table_says(status: StepStatus) -> None:
    assert STEP_TRANSITIONS[status] == set(STEP_PAIRS.get(status, "").split())


def test_the_message_names_what_is_allowed() -> None:
    with pytest.raises(RunTransitionError) as caught:
        check_run_transition("run_01J9", "failed", "completed")
    assert str(caught.value) == (
        "Run run_01J9 is 'failed' and cannot become 'completed'; allowed: running."
    )
    with pytest.raises(RunTransitionError, match=r"allowed: nothing, it is over\."):
        check_run_transition("run_01J9", "completed", "canceled")


def test_only_a_failure_can_be_taken_back() -> None:
    assert {status for status in TERMINAL_RUN_STATUSES if RUN_TRANSITIONS[status]} == {"failed"}
    assert {s for s in TERMINAL_STEP_STATUSES if STEP_TRANSITIONS[s]} == {"failed"}
    live = set(get_args(RunStatus)) - TERMINAL_RUN_STATUSES
    assert live == {"pending", "running", "waiting"}


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        RUN_TRANSITIONS["completed"] = frozenset({"running"})  # pyright: ignore[reportIndexIssue] - the point of the test


def test_a_retried_run_has_a_workflow_of_its_own_in_temporal() -> None:
    assert make_run().temporal_workflow_id == "run_1"
    assert make_run(generation=2).temporal_workflow_id == "run_1:2"


def test_a_step_run_knows_its_handler() -> None:
    assert make_step().handler == "charge"
    assert make_step(uses="stripe.charge").handler == "stripe.charge"


def test_a_run_reads_back_from_its_json() -> None:
    run = make_run()
    assert WorkflowRun.model_validate_json(run.model_dump_json()) == run
    assert run.model_dump(mode="json")["currentStepIndex"] == 0


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="timezone"):
        RunFilter(created_after=datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_a_filter_takes_one_status_or_several() -> None:
    assert RunFilter().statuses is None
    assert RunFilter(status="failed").statuses == ["failed"]
    assert RunFilter(status=["failed", "waiting"]).statuses == ["failed", "waiting"]
    with pytest.raises(InvalidInputError):
        RunFilter(status=[])


def test_a_page_holds_items_of_its_kind() -> None:
    page = Page[WorkflowRun](items=(make_run(),), next_cursor="c")
    assert Page[WorkflowRun].model_validate_json(page.model_dump_json()) == page


def test_an_action_result_refuses_a_negative_pause_and_a_word_for_success() -> None:
    assert ActionResult(data={"object": {1, 2}}).success
    with pytest.raises(ValidationError):
        ActionResult(retry_after=timedelta(seconds=-1))
    with pytest.raises(ValidationError):
        ActionResult.model_validate({"success": "no"})
