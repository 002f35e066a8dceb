"""What has become of an attempt that keeps its step running: the table of ``verdicts``."""

from __future__ import annotations

from dataclasses import replace

from pulse_temporal.services.runs.verdicts import judge_running
from pulse_temporal.store.steps import LockedStep

STEP = LockedStep(
    id="stp_1",
    run_id="run_1",
    tenant_id="acme",
    status="running",
    generation=1,
    attempt=1,
    max_attempts=1,
    error_message=None,
    result=None,
    answer=None,
    open_claim=7,
    holder_is_alive=False,
    is_held=False,
    holds_loop=False,
    lost=0,
)


def judge(step: LockedStep) -> str:
    return judge_running(step, max_lost_workers=3)


def test_a_worker_that_is_gone_costs_no_attempt() -> None:
    assert judge(STEP) == "lost"
    assert judge(replace(STEP, attempt=1, max_attempts=5)) == "lost"


def test_the_worker_of_the_open_attempt_counts_toward_the_limit() -> None:
    assert judge(replace(STEP, lost=1)) == "lost"
    assert judge(replace(STEP, lost=2)) == "lost too often"
    assert judge(replace(STEP, lost=2, open_claim=None)) == "lost"
    assert judge(replace(STEP, lost=3, open_claim=None)) == "lost too often"


def test_a_living_worker_that_let_the_deadline_pass_costs_the_attempt() -> None:
    alive = replace(STEP, holder_is_alive=True)
    assert judge(alive) == "timed out for good"
    assert judge(replace(alive, max_attempts=2)) == "timed out"
    assert judge(replace(alive, is_held=True)) == "timed out for good"
    assert judge(replace(alive, lost=9)) == "timed out for good"


def test_an_attempt_in_a_blocked_event_loop_is_at_work() -> None:
    assert judge(replace(STEP, is_held=True)) == "at work"
    assert judge(replace(STEP, is_held=True, lost=9)) == "at work"


def test_an_attempt_that_is_closed_says_nothing_of_its_worker() -> None:
    assert judge(replace(STEP, open_claim=None, holder_is_alive=True)) == "lost"
