"""A run rests only when nothing but time can move it."""

from __future__ import annotations

from datetime import UTC, datetime

from pulse_temporal.model.paths import branch_prefix_of
from pulse_temporal.model.runs import StepStatus, WorkflowStepRun
from pulse_temporal.model.steps import StepType
from pulse_temporal.testing.pauses import sleeping_steps

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def step(path: str, status: StepStatus, kind: StepType = "action") -> WorkflowStepRun:
    sleeps = status == "scheduled"
    return WorkflowStepRun(
        id=f"stp_{path}",
        run_id="run_1",
        tenant_id="t",
        step_index=0,
        step_type=kind,
        step_name=path,
        status=status,
        path=path,
        scheduled_for=NOW if sleeps and kind == "delay" else None,
        next_attempt_at=NOW if sleeps and kind != "delay" else None,
        branch_index=0 if branch_prefix_of(path) else None,
        created_at=NOW,
    )


def sleeping(*steps: WorkflowStepRun) -> list[str] | None:
    found = sleeping_steps(steps)
    return None if found is None else [one.path for one in found]


def test_a_delay_lets_the_run_rest() -> None:
    assert sleeping(step("0", "completed"), step("1", "scheduled", "delay")) == ["1"]


def test_a_pause_between_attempts_lets_the_run_rest() -> None:
    assert sleeping(step("0", "scheduled"), step("1", "pending")) == ["0"]


def test_a_step_that_is_about_to_start_is_work() -> None:
    assert sleeping(step("0", "completed"), step("1", "pending")) is None


def test_a_step_given_back_by_its_worker_is_work() -> None:
    given_back = step("0", "scheduled").model_copy(update={"next_attempt_at": None})
    assert sleeping(given_back) is None


def test_the_end_of_a_run_is_work() -> None:
    assert sleeping(step("0", "completed"), step("1", "skipped")) is None
    assert sleeping(step("0", "failed"), step("1", "pending")) is None
    assert sleeping() is None


def test_branches_rest_when_each_rests_or_is_over() -> None:
    block = step("0", "running", "parallel")
    resting = step("0/b0/0", "scheduled", "delay")

    assert sleeping(block, resting, step("0/b1/0", "completed")) == ["0/b0/0"]
    assert sleeping(block, resting, step("0/b1/0", "failed")) == ["0/b0/0"]
    assert sleeping(block, resting, step("0/b1/0", "scheduled")) == ["0/b0/0", "0/b1/0"]
    assert sleeping(block, resting, step("0/b1/0", "running")) is None


def test_a_join_and_a_fan_out_are_work() -> None:
    over = step("0/b0/0", "completed")
    assert sleeping(step("0", "running", "parallel"), over) is None
    assert sleeping(step("0", "pending", "parallel"), step("0/b0/0", "pending")) is None


def test_the_tenth_step_comes_after_the_second() -> None:
    steps = [step(str(index), "completed") for index in range(2)]
    assert sleeping(step("10", "pending"), *steps, step("2", "scheduled", "delay")) == ["2"]
