"""Where a run stands, said in a sentence."""

from datetime import UTC, datetime

import pytest

from pulse_temporal import InvalidInputError, RunFilter, WorkflowRun, WorkflowStepRun
from pulse_temporal.model.standing import standing

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def run(status: str) -> WorkflowRun:
    """Return a run in this status."""
    return WorkflowRun.model_construct(None, id="run_1", status=status)


def step(path: str, status: str, **fields: object) -> WorkflowStepRun:
    """Return a step run."""
    usual: dict[str, object] = {
        "step_name": f"s{path}",
        "step_type": "action",
        "attempt": 1,
        "max_attempts": 3,
        "blocked_reason": None,
        "scheduled_for": None,
        "next_attempt_at": None,
        "error_message": None,
    }
    return WorkflowStepRun.model_construct(None, path=path, status=status, **(usual | fields))


@pytest.mark.parametrize(
    ("status", "steps", "said"),
    [
        ("pending", [step("0", "pending")], "has not begun"),
        ("running", [step("0", "completed"), step("1", "running")], "step 1 's1' is at work"),
        (
            "running",
            [step("0", "pending", blocked_reason="No live worker knows the action 's0'.")],
            "step 0 's0' cannot start: No live worker knows",
        ),
        (
            "waiting",
            [step("0", "scheduled", step_type="delay", scheduled_for=NOW)],
            "ends 2026-11-29 12:00:00 UTC",
        ),
        (
            "running",
            [step("0", "scheduled", next_attempt_at=NOW, error_message="KeyError: 'x'")],
            "waits for its next attempt after attempt 1 of 3: KeyError: 'x'",
        ),
        ("running", [step(str(n), "running") for n in range(5)], "and 2 more"),
    ],
)
def test_the_open_steps_are_told(status: str, steps: list[WorkflowStepRun], said: str) -> None:
    assert said in standing(run(status), steps)


def test_a_run_that_is_not_stored_is_told() -> None:
    assert "no run of this id is stored" in standing(None, [])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"status": "failedd"}, "status"),
        ({"tenant": "acme"}, "tenant"),
        ({"status": []}, "status"),
    ],
)
def test_a_wrong_filter_is_refused_as_input(fields: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInputError, match=f"filter of runs is wrong: .*{named}"):
        RunFilter.model_validate(fields)
    with pytest.raises(InvalidInputError, match=named):
        RunFilter(**fields)  # pyright: ignore[reportArgumentType] - what a mistake looks like
