"""What a person should see first about a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pulse_temporal.model.run_notices import Surroundings, notices_of
from pulse_temporal.model.views import Notice, RunSummary, StepSummary

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(status: str = "running", **more: object) -> RunSummary:
    fields = {
        "id": "run_1",
        "tenant_id": "acme",
        "definition_id": "wfd_1",
        "definition_name": "Pay",
        "signal_id": "trg_1",
        "signal_type": "order.paid",
        "created_at": START,
    }
    return RunSummary.model_validate({**fields, "status": status, **more})


def step(path: str, **more: object) -> StepSummary:
    fields = {"id": f"stp_{path}", "path": path, "name": path, "type": "action"}
    return StepSummary.model_validate({**fields, "status": "scheduled", **more})


def told(
    about: RunSummary,
    *steps: StepSummary,
    workers: int = 1,
    restarted_at: datetime | None = None,
    is_foreign: bool = False,
) -> tuple[Notice, ...]:
    around = Surroundings(
        live_workers=workers,
        worker_seen_at=None if workers else START,
        restarted_at=restarted_at,
        is_foreign=is_foreign,
        blocked_step_timeout=HOUR,
    )
    return notices_of(about, steps, around)


def test_what_cannot_go_on_stands_before_what_goes_on() -> None:
    retried = step("0", attention="retrying", error_message="refused", next_attempt_at=START)
    blocked = step("1", attention="blocked", blocked_reason="nobody", blocked_since=START)

    found = told(run(), retried, blocked, workers=0, restarted_at=START)

    assert [notice.kind for notice in found] == ["blocked", "no_worker", "retrying", "restarted"]
    assert (found[0].reason, found[0].until) == ("nobody", START + HOUR)
    assert found[1].since == START
    assert (found[2].reason, found[2].until) == ("refused", START)


def test_a_run_that_is_over_needs_no_worker() -> None:
    assert told(run("completed"), workers=0) == ()


def test_a_run_that_goes_on_has_no_notice() -> None:
    assert told(run(), step("0", status="running")) == ()


def test_a_late_run_is_pending_and_a_foreign_one_is_nobodys_to_work_on() -> None:
    (late,) = told(run("pending", attention="late"))
    (foreign,) = told(run("waiting"), workers=0, is_foreign=True)

    assert (late.kind, late.since) == ("pending", START)
    assert foreign.kind == "foreign"


def test_a_blocked_step_of_which_nobody_knows_since_when_has_no_end() -> None:
    (notice,) = told(run(), step("0", attention="blocked", blocked_reason="nobody"))

    assert (notice.since, notice.until) == (None, None)
