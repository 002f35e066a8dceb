"""Which execution may write for a run or a branch: the tables of ``admission``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pulse_temporal.model.runs import RunStatus
from pulse_temporal.services.runs.admission import (
    TakeOver,
    Verdict,
    judge_execution,
    judge_run,
    refuse_closed,
    refuse_ended,
    refuse_superseded,
)
from pulse_temporal.store.control import Control
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.lineages import Lineage

RUN = Fence(
    run_id="run_1",
    tenant_id="acme",
    generation=1,
    branch="",
    temporal_run_id="second",
    first_execution_run_id="first",
    parent_run_id=None,
    parent_first_run_id=None,
)
BRANCH = replace(
    RUN,
    branch="2/b0",
    temporal_run_id="branch",
    first_execution_run_id="branch",
    parent_run_id="second",
    parent_first_run_id="first",
)
CONTROL = Control(tenant_id="acme", generation=1, task_queue="queue", closed_as="canceled")


def written(*run_ids: str, chain: str = "first") -> Lineage:
    """Return the lineage of executions that have written, the current one last."""
    *earlier, current = run_ids
    return Lineage(chain, current, tuple(earlier), len(earlier))


def judge(
    fence: Fence,
    lineage: Lineage | None,
    *,
    parent: Lineage | None = None,
    has_failed: bool = False,
    only_failure: bool = False,
) -> Verdict:
    return judge_execution(
        fence, lineage, parent=parent, has_failed=has_failed, only_failure=only_failure
    )


def test_the_current_execution_goes_on() -> None:
    assert judge(RUN, written("first", "second")) == "go on"


def test_the_current_execution_of_a_failed_run_only_records_its_failure_again() -> None:
    lineage = written("second")
    assert judge(RUN, lineage, has_failed=True) == "run has failed"
    assert judge(RUN, lineage, has_failed=True, only_failure=True) == "go on"


def test_the_first_execution_takes_over_from_nobody() -> None:
    assert judge(RUN, None) == TakeOver(is_first=True, with_parent=False, resumes=False)


def test_an_earlier_execution_of_the_lineage_is_superseded() -> None:
    assert judge(RUN, written("second", "third")) == "superseded"


def test_an_execution_of_another_chain_is_superseded() -> None:
    assert judge(RUN, written("other", chain="other")) == "superseded"


def test_the_next_execution_of_a_chain_takes_over_when_temporal_says_it_is_the_newest() -> None:
    lineage = written("first")
    assert judge(RUN, lineage) == "ask Temporal"
    newest = replace(RUN, is_current=True)
    assert judge(newest, lineage) == TakeOver(is_first=False, with_parent=False, resumes=True)


def test_a_branch_goes_on_in_a_chain_of_its_own_when_its_parent_has_started_it_anew() -> None:
    lineage = written("old branch", chain="old branch")
    assert judge(BRANCH, lineage, parent=written("stranger", chain="stranger")) == "superseded"
    assert judge(BRANCH, lineage, parent=written("second")) == "ask Temporal"
    newest = replace(BRANCH, is_current=True)
    taken = judge(newest, lineage, parent=written("first", "second"))
    assert taken == TakeOver(is_first=False, with_parent=False, resumes=False)


def test_a_branch_that_writes_before_its_parent_takes_over_for_both() -> None:
    newest = replace(BRANCH, is_current=True)
    taken = judge(newest, written("old branch", chain="old branch"), parent=written("first"))
    assert taken == TakeOver(is_first=False, with_parent=True, resumes=True)


@pytest.mark.parametrize(
    ("status", "resumes", "only_failure", "verdict"),
    [
        ("completed", True, False, "refuse"),
        ("canceled", True, False, "refuse"),
        ("failed", False, False, "refuse"),
        ("failed", False, True, "refuse"),
        ("failed", True, True, "nothing to do"),
        ("failed", True, False, "reopen"),
        ("pending", False, False, "take over"),
        ("running", True, False, "take over"),
        ("waiting", True, True, "take over"),
    ],
)
def test_the_runs_status_decides_about_a_take_over(
    status: RunStatus, resumes: bool, only_failure: bool, verdict: str
) -> None:
    assert judge_run(status, resumes=resumes, only_failure=only_failure) == verdict


def test_a_refusal_says_which_execution_writes_for_what() -> None:
    assert refuse_superseded(RUN, written("third")).message == "Execution third speaks for run_1."
    nobody_known = refuse_superseded(BRANCH, None)
    assert nobody_known.message == "Execution another one speaks for run_1/2/b0."


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        (None, "unknown", "There is no run run_1."),
        (CONTROL, "canceled", "Run run_1 is canceled."),
        (replace(CONTROL, generation=2), "superseded", "generation 2 acts"),
    ],
)
def test_a_closed_run_is_refused_with_its_reason(
    row: Control | None, reason: str, words: str
) -> None:
    refusal = refuse_closed(RUN, row)
    assert refusal.reason == reason
    assert words in refusal.message


@pytest.mark.parametrize(("status", "reason"), [("failed", "failed"), ("completed", "ended")])
def test_a_run_that_is_over_is_refused_with_its_status(status: str, reason: str) -> None:
    refusal = refuse_ended(RUN, status)
    assert (refusal.reason, refusal.message) == (reason, f"Run run_1 is {status}.")
