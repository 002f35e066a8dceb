"""A failed run is retried from where it failed; what is done is not done again."""

from __future__ import annotations

import asyncio

import pytest

from pulse_temporal import NotFoundError, RunConflictError, RunTransitionError, WorkflowRun
from tests.harness import TENANT, PulseTest, action, condition, delay, make_pulse, parallel

TWO = {"maxAttempts": 2, "backoffMs": 100}


async def retry_and_wait(pulse: PulseTest, run: WorkflowRun) -> WorkflowRun:
    """Retry a run and wait for its end."""
    await pulse.engine.retry_run(run.id)
    return await pulse.engine.wait_for_run(run.id)


async def test_a_retry_resumes_at_the_failed_step(pulse: PulseTest) -> None:
    """Finished steps are kept; the run keeps its id and moves on to its next generation."""
    charge = pulse.action("charge", returns={"amount": 12})
    receipt = pulse.action("receipt", fails=1)
    await pulse.define("order.paid", "charge", "receipt")
    failed = await pulse.emit_and_wait("order.paid")

    retried = await pulse.engine.retry_run(failed.id)
    run = await pulse.engine.wait_for_run(failed.id)

    assert (failed.status, failed.generation) == ("failed", 1)
    assert (retried.id, retried.status, retried.generation) == (failed.id, "running", 2)
    assert (retried.failed_at, retried.error_message) == (None, None)
    assert (run.status, run.generation) == ("completed", 2)
    assert (charge.calls, receipt.calls) == (1, 2)
    assert receipt.contexts[1].run.context == {"charge": {"amount": 12}}


async def test_the_failure_stays_in_the_timeline(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    failed = await pulse.emit_and_wait("order.paid")

    run = await retry_and_wait(pulse, failed)

    assert await pulse.timeline(run.id) == [
        "run_created",
        "step_started charge",
        "step_failed charge",
        "run_failed",
        "step_scheduled charge",
        "step_started charge",
        "step_completed charge",
        "run_completed",
    ]


async def test_every_step_has_a_fresh_budget_of_attempts(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=3)
    await pulse.define("order.paid", action("charge", retryPolicy=TWO))
    failed = await pulse.emit_and_wait("order.paid")

    run = await retry_and_wait(pulse, failed)

    assert (failed.status, run.status) == ("failed", "completed")
    assert [ctx.step.attempt for ctx in charge.contexts] == [1, 2, 1, 2]


async def test_the_idempotency_key_outlives_a_retry(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    failed = await pulse.emit_and_wait("order.paid")

    await retry_and_wait(pulse, failed)

    first, second = charge.contexts
    assert first.idempotency_key == second.idempotency_key


async def test_conditions_that_are_decided_are_not_asked_again(pulse: PulseTest) -> None:
    check = pulse.condition("check", returns=False)
    never = pulse.action("never")
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", condition("check", onFalse="skip"), "never", "charge")
    failed = await pulse.emit_and_wait("order.paid")

    run = await retry_and_wait(pulse, failed)

    assert run.status == "completed"
    assert (check.calls, never.calls) == (1, 0)


async def test_only_the_failed_branch_goes_on(pulse: PulseTest) -> None:
    email = pulse.action("email")
    render = pulse.action("render", returns={"text": "hi"})
    post = pulse.action("post", fails=1)
    after = pulse.action("after")
    await pulse.define("order.paid", parallel("tell", ["email"], ["render", "post"]), "after")
    failed = await pulse.emit_and_wait("order.paid")

    run = await retry_and_wait(pulse, failed)

    assert run.status == "completed"
    assert (email.calls, render.calls, post.calls, after.calls) == (1, 1, 2, 1)
    assert post.contexts[1].run.context == {"render": {"text": "hi"}}


async def test_a_delay_that_is_over_is_not_waited_for_again(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", delay("pause", 50), "charge")
    failed = await pulse.emit_and_wait("order.paid")
    before = (await pulse.steps(failed.id))["0"]

    run = await retry_and_wait(pulse, failed)

    assert run.status == "completed"
    assert (await pulse.steps(run.id))["0"] == before


async def test_a_retried_run_keeps_the_definition_that_it_started_with(pulse: PulseTest) -> None:
    old = pulse.action("old", fails=1)
    new = pulse.action("new")
    definition = await pulse.define("order.paid", "old")
    failed = await pulse.emit_and_wait("order.paid")
    await pulse.engine.update_workflow(
        definition.id, {"steps": [{"type": "action", "name": "new"}]}
    )

    run = await retry_and_wait(pulse, failed)

    assert run.status == "completed"
    assert (old.calls, new.calls) == (2, 0)
    assert run.definition_snapshot.version == 1


async def test_a_run_may_be_retried_again_and_again(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=3)
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")

    for _ in range(3):
        run = await retry_and_wait(pulse, run)

    assert (run.status, run.generation, charge.calls) == ("completed", 4, 4)


async def test_each_generation_has_a_workflow_of_its_own_in_temporal(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    failed = await pulse.emit_and_wait("order.paid")

    run = await retry_and_wait(pulse, failed)

    assert run.temporal_workflow_id == f"{run.id}:2"
    handle = await pulse.workflow(run.temporal_workflow_id)
    assert await handle.result() == "completed"


async def test_a_retried_run_can_be_canceled(pulse: PulseTest) -> None:
    again = pulse.gate("again")
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge", "again")
    failed = await pulse.emit_and_wait("order.paid")
    await pulse.engine.retry_run(failed.id)
    await again.reached()

    run = await pulse.engine.cancel_run(failed.id)

    again.open()
    assert (run.status, run.generation) == ("canceled", 2)
    assert await pulse.statuses(run.id) == {"0": "completed", "1": "failed"}


async def test_an_engine_that_is_not_started_leaves_the_retry_to_a_worker(
    pulse: PulseTest,
) -> None:
    """An API process may retry; whoever works takes the run up."""
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    failed = await pulse.emit_and_wait("order.paid")
    other = make_pulse(pulse.dsn, pulse.temporal_address)

    try:
        retried = await other.engine.retry_run(failed.id)
    finally:
        await other.engine.stop()
    run = await pulse.engine.wait_for_run(failed.id)

    assert (retried.status, run.status) == ("running", "completed")


async def test_of_many_retries_at_once_one_wins(pulse: PulseTest) -> None:
    charge = pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    failed = await pulse.emit_and_wait("order.paid")

    answers = await asyncio.gather(
        *(pulse.engine.retry_run(failed.id) for _ in range(5)), return_exceptions=True
    )
    run = await pulse.engine.wait_for_run(failed.id)

    won = [answer for answer in answers if isinstance(answer, WorkflowRun)]
    lost = [answer for answer in answers if not isinstance(answer, WorkflowRun)]
    assert len(won) == 1
    assert all(isinstance(error, RunConflictError | RunTransitionError) for error in lost)
    assert (run.generation, charge.calls) == (2, 2)


async def test_a_run_that_has_not_failed_cannot_be_retried(pulse: PulseTest) -> None:
    pulse.action("charge")
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")

    with pytest.raises(RunTransitionError, match="is 'completed' and cannot be retried"):
        await pulse.engine.retry_run(run.id)


async def test_a_run_that_does_not_exist_cannot_be_retried(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")

    with pytest.raises(NotFoundError, match="There is no run run_nobody"):
        await pulse.engine.retry_run("run_nobody")
    with pytest.raises(NotFoundError):
        await pulse.engine.retry_run(run.id, tenant_id="somebody-else")


async def test_failed_runs_are_listed_oldest_first(pulse: PulseTest) -> None:
    pulse.action("charge", fails=3)
    await pulse.define("order.paid", "charge")
    await pulse.define("order.paid", "charge", tenant_id="tenant-b")
    first = await pulse.emit_and_wait("order.paid")
    second = await pulse.emit_and_wait("order.paid", tenant_id="tenant-b")
    third = await pulse.emit_and_wait("order.paid")
    await pulse.emit_and_wait("order.paid")

    everybody = await pulse.engine.get_failed_runs()
    ours = await pulse.engine.get_failed_runs(TENANT)

    assert [run.id for run in everybody] == [first.id, second.id, third.id]
    assert [run.id for run in ours] == [first.id, third.id]
