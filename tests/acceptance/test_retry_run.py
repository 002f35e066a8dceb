"""A failed run is retried from where it failed; what completed stays."""

from __future__ import annotations

import pytest

from pulse_temporal import NotFoundError, RunTransitionError, WorkflowRun
from pulse_temporal.services.runs.history import History
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import TENANT, PulseTest


async def test_retrying_resumes_at_the_failed_step(pulse: PulseTest) -> None:
    """Finished steps are kept, the failed one is called again, the run keeps its id."""
    charge = pulse.action("charge", returns={"amount": 12})
    receipt = pulse.action("receipt", fails=1)
    await pulse.define("order.paid", "charge", "receipt")
    failed = await pulse.emit_and_wait("order.paid")
    assert failed.status == "failed"

    retried = await pulse.engine.retry_run(failed.id)
    assert (retried.id, retried.status, retried.generation) == (failed.id, "running", 2)
    run = await pulse.engine.wait_for_run(failed.id)

    assert (run.status, run.error_message, run.failed_at) == ("completed", None, None)
    assert (charge.call_count, receipt.call_count) == (1, 2)
    assert receipt.calls[1].run.context == {"charge": {"amount": 12}}
    assert receipt.calls[0].idempotency_key == receipt.calls[1].idempotency_key


async def test_earlier_failures_stay_in_the_timeline(pulse: PulseTest) -> None:
    """The timeline tells both generations."""
    pulse.action("receipt", fails=1)
    await pulse.define("order.paid", "receipt")
    failed = await pulse.emit_and_wait("order.paid")
    await pulse.engine.retry_run(failed.id)
    await pulse.engine.wait_for_run(failed.id)
    assert await pulse.timeline(failed.id) == [
        "run_created",
        "step_started receipt",
        "step_failed receipt",
        "run_failed",
        "step_scheduled receipt",
        "step_started receipt",
        "step_completed receipt",
        "run_completed",
    ]


async def test_only_the_failed_branch_goes_on(pulse: PulseTest) -> None:
    """Branches that completed are not started again, nor steps before the failed one."""
    mail, sms = pulse.action("mail"), pulse.action("sms", fails=1)
    before, after = pulse.action("before"), pulse.action("after")
    await pulse.define("alert", parallel("notify", ["mail"], ["before", "sms"]), "after")
    failed = await pulse.emit_and_wait("alert")
    assert failed.status == "failed"
    await pulse.engine.retry_run(failed.id)
    run = await pulse.engine.wait_for_run(failed.id)
    assert run.status == "completed"
    assert (mail.call_count, before.call_count, sms.call_count, after.call_count) == (1, 1, 2, 1)


async def test_a_decided_condition_is_not_asked_again(pulse: PulseTest) -> None:
    """Conditions that were answered, and what they skipped, stay as they were."""
    asked = pulse.condition("is_due", returns=False)
    skipped = pulse.action("skipped")
    pulse.action("flaky", fails=1)
    await pulse.define("invoice", condition("is_due", onFalse="skip"), "skipped", "flaky")
    failed = await pulse.emit_and_wait("invoice")
    await pulse.engine.retry_run(failed.id)
    run = await pulse.engine.wait_for_run(failed.id)
    assert run.status == "completed"
    assert (asked.call_count, skipped.call_count) == (1, 0)


async def test_a_delay_that_passed_is_not_waited_for_again(pulse: PulseTest) -> None:
    """A completed delay counts as completed in the new generation."""
    pulse.action("flaky", fails=1)
    await pulse.define("invoice", delay("pause", 200), "flaky")
    failed = await pulse.emit_and_wait("invoice")
    first = (await pulse.steps(failed.id))["0"].completed_at
    await pulse.engine.retry_run(failed.id)
    await pulse.engine.wait_for_run(failed.id)
    assert (await pulse.steps(failed.id))["0"].completed_at == first


async def test_a_retry_has_a_fresh_budget_of_attempts(pulse: PulseTest) -> None:
    """The policy counts again from the first attempt."""
    pulse.action("flaky", fails=3)
    policy = {"maxAttempts": 2, "backoffMs": 100}
    await pulse.define("invoice", action("flaky", retryPolicy=policy))
    failed = await pulse.emit_and_wait("invoice")
    assert failed.status == "failed"
    await pulse.engine.retry_run(failed.id)
    run = await pulse.engine.wait_for_run(failed.id)
    assert run.status == "completed"
    assert (await pulse.steps(failed.id))["0"].attempt == 2


async def test_a_run_may_fail_and_be_retried_again_and_again(pulse: PulseTest) -> None:
    """Each retry is a generation of its own, with a workflow of its own in Temporal."""
    pulse.action("flaky", fails=3)
    await pulse.define("invoice", "flaky")
    run = await pulse.emit_and_wait("invoice")
    for generation in (2, 3, 4):
        assert run.status == "failed"
        retried = await pulse.engine.retry_run(run.id)
        assert retried.temporal_workflow_id == f"{run.id}:{generation}"
        run = await pulse.engine.wait_for_run(run.id)
    assert (run.status, run.generation) == ("completed", 4)


async def test_a_run_that_is_retried_while_it_is_waited_for_is_not_over(
    pulse: PulseTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits gets a run that has ended, though it failed and went on in between."""
    pulse.action("flaky", fails=1)
    await pulse.define("invoice", "flaky")
    failed = await pulse.emit_and_wait("invoice")
    look = History.get_run

    async def retried_first(
        history: History, run_id: str, *, tenant_id: str | None
    ) -> WorkflowRun | None:
        monkeypatch.undo()
        await pulse.engine.retry_run(run_id)
        return await look(history, run_id, tenant_id=tenant_id)

    monkeypatch.setattr(History, "get_run", retried_first)
    run = await pulse.engine.wait_for_run(failed.id)

    assert (run.status, run.generation) == ("completed", 2)


@pytest.mark.parametrize("status", ["completed", "canceled"])
async def test_only_failed_runs_can_be_retried(pulse: PulseTest, status: str) -> None:
    """Another status is a typed error that names it."""
    pulse.action("work")
    await pulse.define("order.paid", delay("pause", 60_000 if status == "canceled" else 1), "work")
    trigger = await pulse.emit("order.paid")
    (run_id,) = trigger.run_ids
    if status == "canceled":
        await pulse.engine.cancel_run(run_id)
    await pulse.engine.wait_for_run(run_id)
    with pytest.raises(RunTransitionError, match=status):
        await pulse.engine.retry_run(run_id)


async def test_an_unknown_run_cannot_be_retried(pulse: PulseTest) -> None:
    """Neither can another tenant's."""
    pulse.action("flaky", fails=1)
    await pulse.define("invoice", "flaky")
    failed = await pulse.emit_and_wait("invoice")
    with pytest.raises(NotFoundError):
        await pulse.engine.retry_run("run_unknown")
    with pytest.raises(NotFoundError):
        await pulse.engine.retry_run(failed.id, tenant_id="tenant-b")


async def test_failed_runs_are_listed_by_tenant(pulse: PulseTest) -> None:
    """Newest first, of one tenant or of all, and no more than asked for."""
    pulse.action("broken", fails=9)
    for tenant in (TENANT, "tenant-b"):
        await pulse.define("invoice", "broken", tenant_id=tenant)
    mine = await pulse.emit_and_wait("invoice")
    other = await pulse.emit_and_wait("invoice", tenant_id="tenant-b")
    assert [run.id for run in (await pulse.engine.get_failed_runs(tenant_id=TENANT)).items] == [
        mine.id
    ]
    assert [run.id for run in (await pulse.engine.get_failed_runs()).items] == [other.id, mine.id]
    first = await pulse.engine.get_failed_runs(limit=1)
    assert [run.id for run in first.items] == [other.id]
    second = await pulse.engine.get_failed_runs(limit=1, cursor=first.next_cursor)
    assert [run.id for run in second.items] == [mine.id]
