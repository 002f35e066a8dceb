"""Lists of runs say how each stands and why, and the page of a run shows all its steps."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import InvalidInputError, NotFoundError, RunSummary, WorkflowContext
from pulse_temporal.testing import action, delay, parallel
from tests.harness import TENANT, PulseTest, eventually

RETRIES = {"maxAttempts": 3, "backoffMs": 300}


async def only(pulse: PulseTest, **wanted: object) -> list[RunSummary]:
    found = await pulse.engine.list_run_summaries(tenant_id=TENANT, **wanted)  # pyright: ignore[reportArgumentType] - any field
    return list(found.items)


async def test_a_run_is_under_retrying_from_its_first_failure_until_it_succeeds(
    pulse: PulseTest,
) -> None:
    """Also while its second attempt is at work."""
    attempts: list[int] = []
    gate = pulse.gate("wait")

    async def pay(ctx: WorkflowContext) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("smtp refused")
        await gate(ctx)

    pulse.engine.register_action("pay", pay)
    await pulse.define("order.paid", action("pay", retryPolicy=RETRIES))
    trigger = await pulse.emit("order.paid", resource_type="order", resource_id="o-1")
    (run_id,) = trigger.run_ids

    await gate.reached()
    (run,) = await only(pulse, attention="retrying")
    assert (run.id, run.status, run.attention) == (run_id, "running", "retrying")
    assert run.current_step is not None
    assert (run.current_step.name, run.current_step.attempt) == ("pay", 2)
    assert run.current_step.max_attempts == 3
    assert (run.resource_type, run.resource_id) == ("order", "o-1")
    counts = await pulse.engine.count_runs(tenant_id=TENANT)
    assert (counts.running.count, counts.retrying.count, counts.blocked.count) == (1, 1, 0)
    view = await pulse.engine.get_run_view(run_id)
    assert view is not None
    (notice,) = view.notices
    assert (notice.kind, notice.path) == ("retrying", "0")
    assert notice.reason is not None
    assert "smtp refused" in notice.reason

    gate.open()
    await pulse.engine.wait_for_run(run_id)
    assert await only(pulse, attention="retrying") == []
    (run,) = await only(pulse, status="completed")
    assert (run.attention, run.current_step, run.steps_done, run.steps) == (None, None, 1, 1)
    assert run.duration_ms is not None
    assert run.duration_ms >= 300
    counts = await pulse.engine.count_runs(tenant_id=TENANT)
    assert (counts.completed.count, counts.retrying.count) == (1, 0)


async def test_between_two_attempts_the_list_says_when_the_next_one_begins(
    pulse: PulseTest,
) -> None:
    pulse.action("pay", fails=1)
    policy = {"maxAttempts": 2, "backoffMs": 60_000}
    await pulse.define("order.paid", action("pay", retryPolicy=policy))
    (run_id,) = (await pulse.emit("order.paid")).run_ids

    async def paused() -> RunSummary | None:
        found = await only(pulse, attention="retrying")
        step = found[0].current_step if found else None
        return found[0] if step and step.next_attempt_at else None

    run = await eventually(paused)

    assert run.current_step is not None
    assert run.current_step.error_message is not None
    assert run.current_step.next_attempt_at is not None
    view = await pulse.engine.get_run_view(run_id)
    assert view is not None
    kinds = [segment.kind for segment in view.steps[0].segments]
    assert kinds[-2:] == ["failed", "backoff"]
    assert view.steps[0].segments[-1].end is None
    await pulse.engine.cancel_run(run_id)
    assert await only(pulse, attention="retrying") == []


async def test_a_step_that_no_worker_knows_makes_its_run_blocked(pulse: PulseTest) -> None:
    await pulse.define("order.paid", "pay_later")
    (run_id,) = (await pulse.emit("order.paid")).run_ids

    async def blocked() -> list[RunSummary]:
        return await only(pulse, attention="blocked")

    (run,) = await eventually(blocked)

    assert (run.id, run.attention) == (run_id, "blocked")
    assert run.current_step is not None
    assert run.current_step.blocked_reason is not None
    assert "pay_later" in run.current_step.blocked_reason
    assert await only(pulse, attention="retrying") == []
    assert (await pulse.engine.count_runs(tenant_id=TENANT)).blocked.count == 1
    view = await pulse.engine.get_run_view(run_id)
    assert view is not None
    notice = view.notices[0]
    assert (notice.kind, notice.name) == ("blocked", "pay_later")
    assert notice.since is not None
    assert notice.until == notice.since + pulse.engine.options.blocked_step_timeout
    await pulse.engine.cancel_run(run_id)
    assert await only(pulse, attention="blocked") == []


async def test_a_waiting_run_says_until_when(pulse: PulseTest) -> None:
    await pulse.define("trial", delay("three_days", 259_200_000))
    (run_id,) = (await pulse.emit("trial")).run_ids
    await pulse.wait_for_status(run_id, "waiting")

    (run,) = await only(pulse, status="waiting")

    assert run.current_step is not None
    assert run.current_step.type == "delay"
    assert run.current_step.scheduled_for is not None
    assert run.started_at is not None
    assert run.current_step.scheduled_for - run.started_at > timedelta(days=2.9)
    assert run.attention is None
    await pulse.engine.cancel_run(run_id)


async def test_a_run_that_nobody_takes_is_late_after_half_a_minute(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.action("pay")
    await idle_pulse.define("order.paid", "pay")
    (old,) = (await idle_pulse.emit("order.paid")).run_ids
    (new,) = (await idle_pulse.emit("order.paid")).run_ids
    assert await only(idle_pulse, attention="late") == []
    await connection.execute(
        "UPDATE pulse_workflow_runs SET created_at = now() - interval '31 s' WHERE id = $1", old
    )

    (run,) = await only(idle_pulse, attention="late")

    assert (run.id, run.attention) == (old, "late")
    assert {each.id for each in await only(idle_pulse, status="pending")} == {old, new}
    assert (await idle_pulse.engine.count_runs(tenant_id=TENANT)).late.count == 1
    view = await idle_pulse.engine.get_run_view(old)
    assert view is not None
    assert [notice.kind for notice in view.notices] == ["no_worker", "pending"]


async def test_a_failed_run_names_the_step_and_failures_are_grouped_by_their_error(
    pulse: PulseTest,
) -> None:
    async def refund(ctx: WorkflowContext) -> None:
        number = id(ctx)
        raise ValueError(f"order {number} has no payment 0xdeadbeef{number:x}")

    pulse.engine.register_action("refund", refund)
    await pulse.define("order.returned", parallel("both", [action("refund")], [delay("wait", 1)]))
    runs = [await pulse.emit_and_wait("order.returned") for _ in range(3)]

    (group,) = await pulse.engine.list_failures(tenant_id=TENANT)
    listed = await only(pulse, status="failed")

    assert (group.runs, group.step_name, group.path) == (3, "refund", "0/b0/0")
    assert group.error == "ValueError: order # has no payment #"
    assert group.sample_run_id == runs[-1].id
    assert group.definition_name == "On order.returned"
    assert [each.id for each in listed] == [run.id for run in reversed(runs)]
    step = listed[0].current_step
    assert step is not None
    assert (step.name, step.status) == ("refund", "failed")
    assert await pulse.engine.list_failures(tenant_id=TENANT, definition_id="wfd_x") == []


async def test_a_list_is_read_page_by_page_whatever_it_is_filtered_by(pulse: PulseTest) -> None:
    await pulse.define("a")
    await pulse.define("b")
    of_a = [(await pulse.emit_and_wait("a")).id for _ in range(3)]
    of_b = [(await pulse.emit_and_wait("b")).id for _ in range(2)]
    runs = pulse.engine.runs

    for wanted, expected in (
        ({}, of_a + of_b),
        ({"signal_type": "a"}, of_a),
        ({"signal_type": "b", "status": "completed"}, of_b),
        ({"signal_type": "c"}, []),
        ({"status": ["completed", "failed"]}, of_a + of_b),
        ({"attention": "retrying"}, []),
    ):
        found: list[str] = []
        cursor = None
        while True:
            page = await runs.list_summaries(
                tenant_id=TENANT,
                limit=2,
                cursor=cursor,
                **wanted,  # pyright: ignore[reportArgumentType] - any field
            )
            assert len(page) <= 2
            found += [run.id for run in page]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == expected[::-1], wanted
    counts = await pulse.engine.count_runs(tenant_id=TENANT, signal_type="a")
    assert counts.completed.count == 3
    counts = await pulse.engine.count_runs(tenant_id=TENANT, signal_type="a", status="failed")
    assert counts.completed.count == 3, "a status does not narrow the counts"


@pytest.mark.parametrize(
    "wanted",
    [{"attention": "bored"}, {"status": "paused"}, {"signal_type": "a"}, {"colour": "red"}],
)
async def test_a_wrong_filter_is_refused(pulse: PulseTest, wanted: dict[str, str]) -> None:
    for ask in (pulse.engine.list_run_summaries, pulse.engine.count_runs):
        with pytest.raises(InvalidInputError):
            await ask(**wanted)  # pyright: ignore[reportArgumentType] - mistakes of callers


async def test_the_page_of_a_run_has_its_steps_in_document_order_with_their_lives(
    pulse: PulseTest,
) -> None:
    async def send(ctx: WorkflowContext) -> dict[str, str]:
        ctx.log("sending")
        ctx.log("slowly", level="warn")
        return {"sent": "yes"}

    pulse.engine.register_action("send", send)
    pulse.action("last")
    definition = await pulse.define(
        "order.paid", parallel("both", [action("send")], [delay("wait", 50)]), "last"
    )
    run = await pulse.emit_and_wait("order.paid")

    view = await pulse.engine.get_run_view(run.id, tenant_id=TENANT)

    assert view is not None
    assert (view.run.definition_name, view.run.definition_version) == (definition.name, 1)
    assert view.definition_version_now == 1
    assert [step.path for step in view.steps] == ["0", "0/b0/0", "0/b1/0", "1"]
    block, sent, waited, last = view.steps
    assert [segment.kind for segment in block.segments] == ["block"]
    assert [segment.kind for segment in sent.segments][-1] == "ok"
    assert [segment.kind for segment in waited.segments] == ["sleep"]
    assert [segment.kind for segment in last.segments][-1] == "ok"
    assert (sent.log_lines, sent.warnings) == (2, 1)
    assert sent.result_bytes == len('{"sent":"yes"}')
    assert (view.temporal.workflow_id, view.temporal.namespace) == (run.id, "default")
    assert view.temporal.run_id is not None
    assert view.notices == ()
    assert (view.run.steps_done, view.run.steps) == (4, 4)
    (listed,) = await only(pulse)
    assert listed == view.run


async def test_a_step_is_shown_with_the_log_of_the_attempt_that_is_chosen(
    pulse: PulseTest,
) -> None:
    calls: list[int] = []

    async def send(ctx: WorkflowContext) -> dict[str, int]:
        calls.append(1)
        ctx.log(f"attempt {len(calls)}")
        if len(calls) == 1:
            raise ConnectionError("refused")
        return {"sent": len(calls)}

    pulse.action("first", returns={"a": 1})
    pulse.engine.register_action("send", send)
    await pulse.define(
        "order.paid",
        "first",
        action("send", retryPolicy=RETRIES, config={"to": "ops"}),
        config={"from": "pulse", "to": "all"},
    )
    run = await pulse.emit_and_wait("order.paid")

    newest = await pulse.engine.get_step(run.id, "1")
    first = await pulse.engine.get_step(run.id, "1", claim=1, tenant_id=TENANT)

    assert (newest.result, newest.config) == ({"sent": 2}, {"from": "pulse", "to": "ops"})
    assert newest.context_bytes == len('{"a":1}')
    assert [line.message for line in newest.logs] == ["attempt 2"]
    assert [line.message for line in first.logs] == ["attempt 1"]
    assert first.chosen is not None
    assert first.chosen.status == "failed"
    assert first.chosen.traceback is not None
    view = await pulse.engine.get_run_view(run.id)
    assert view is not None
    assert newest.step == view.steps[1]
    with pytest.raises(NotFoundError, match="it has: 1, 2"):
        await pulse.engine.get_step(run.id, "1", claim=9)
    with pytest.raises(NotFoundError):
        await pulse.engine.get_step(run.id, "7")


async def test_a_retried_run_keeps_the_attempts_of_its_earlier_generation(
    pulse: PulseTest,
) -> None:
    pulse.action("pay", fails=1)
    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")
    await pulse.engine.retry_run(run.id)
    await pulse.engine.wait_for_run(run.id)

    view = await pulse.engine.get_run_view(run.id)

    assert view is not None
    bars = [(bar.kind, bar.generation) for bar in view.steps[0].segments if bar.kind != "queue"]
    assert bars == [("failed", 1), ("ok", 2)]
    assert view.temporal.workflow_id == f"{run.id}:2"
