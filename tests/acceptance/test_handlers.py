"""What handlers are given, what they may return, and what they write into the run's log."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import BaseModel

from pulse_temporal import ActionResult, DuplicateHandlerError, WorkflowContext
from pulse_temporal.testing import action
from tests.harness import TENANT, PulseTest


class Receipt(BaseModel):
    """What an action of an application may return."""

    number: int
    paid_at: datetime


RETURNED: list[tuple[object, Mapping[str, object]]] = [
    ({"n": 1}, {"n": 1}),
    (OrderedDict[str, object](n=1), {"n": 1}),
    (ActionResult(data={"n": 1}), {"n": 1}),
    (
        Receipt(number=1, paid_at=datetime(2026, 1, 2, tzinfo=UTC)),
        {"number": 1, "paid_at": "2026-01-02T00:00:00Z"},
    ),
    ({"id": UUID(int=7), "tags": ("a", "b")}, {"id": str(UUID(int=7)), "tags": ["a", "b"]}),
    ({}, {}),
    ({"text": "Grüße ☃ 🎉"}, {"text": "Grüße ☃ 🎉"}),
]


@pytest.mark.parametrize(
    ("returned", "result"),
    RETURNED,
    ids=["dict", "mapping", "result", "pydantic model", "uuid and tuple", "empty", "unicode"],
)
async def test_what_an_action_returns_joins_the_context_under_its_name(
    pulse: PulseTest, returned: object, result: Mapping[str, object]
) -> None:
    pulse.action("pay", returns=returned)
    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert run.context == {"pay": result}
    assert (await pulse.steps(run.id))["0"].result == result


@pytest.mark.parametrize("returned", [None, ActionResult()], ids=["none", "result without data"])
async def test_an_action_that_returns_nothing_adds_nothing(
    pulse: PulseTest, returned: object
) -> None:
    pulse.action("pay", returns=returned)
    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert run.context == {}
    assert (await pulse.steps(run.id))["0"].result is None


async def test_a_step_with_a_name_of_its_own_keeps_its_result_under_that_name(
    pulse: PulseTest,
) -> None:
    pulse.action("pay", returns={"n": 1})
    await pulse.define("order.paid", action("deposit", uses="pay"), action("rest", uses="pay"))

    run = await pulse.emit_and_wait("order.paid")

    assert run.context == {"deposit": {"n": 1}, "rest": {"n": 1}}


async def test_a_handler_is_given_signal_run_and_step(pulse: PulseTest) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")

    trigger = await pulse.emit("order.paid", {"order": "o-1"}, resourceId="order 7")
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    (ctx,) = pay.calls
    assert (ctx.tenant_id, ctx.is_replay) == (TENANT, False)
    assert (ctx.trigger.id, ctx.trigger.resource_id) == (trigger.id, "order 7")
    assert ctx.trigger.payload == {"order": "o-1"}
    assert (ctx.run.id, ctx.run.status) == (run.id, "running")
    assert (ctx.step.step_name, ctx.step.path, ctx.step.attempt) == ("pay", "0", 1)


async def test_config_of_the_step_is_merged_over_that_of_the_definition(
    pulse: PulseTest,
) -> None:
    first = pulse.action("first")
    second = pulse.action("second")
    await pulse.define(
        "order.paid",
        action("first", config={"channel": "#vip", "color": "red"}),
        "second",
        config={"channel": "#all", "size": 3},
    )

    await pulse.emit_and_wait("order.paid")

    assert first.calls[0].config == {"channel": "#vip", "color": "red", "size": 3}
    assert second.calls[0].config == {"channel": "#all", "size": 3}


async def test_handlers_that_are_not_async_run_in_a_thread(pulse: PulseTest) -> None:
    """They may block: the event loop goes on meanwhile."""
    entered = asyncio.Event()
    release = threading.Event()
    loop = asyncio.get_running_loop()

    @pulse.engine.action("pay")
    def pay(ctx: WorkflowContext) -> dict[str, object]:
        loop.call_soon_threadsafe(entered.set)
        release.wait(10)
        ctx.log("paid")
        return {"thread": threading.current_thread() is threading.main_thread()}

    @pulse.engine.condition("is_large")
    def is_large(_: WorkflowContext) -> bool:
        return threading.current_thread() is not threading.main_thread()

    await pulse.define("order.paid", {"type": "condition", "name": "is_large"}, "pay")
    trigger = await pulse.emit("order.paid")
    async with asyncio.timeout(10):
        await entered.wait()
    release.set()
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"
    assert run.context == {"pay": {"thread": False}}
    assert [line.message for line in await pulse.engine.get_run_logs(run.id)] == ["paid"]


async def test_a_sync_handler_learns_that_its_time_is_over(pulse: PulseTest) -> None:
    saw = threading.Event()

    @pulse.engine.action("pay")
    def pay(ctx: WorkflowContext) -> None:
        while not ctx.canceled:
            threading.Event().wait(0.01)
        saw.set()

    await pulse.define("order.paid", action("pay", timeoutMs=100))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert await asyncio.to_thread(saw.wait, 10)


async def test_log_lines_stand_in_the_timeline_where_they_were_written(pulse: PulseTest) -> None:
    @pulse.engine.action("pay")
    async def pay(ctx: WorkflowContext) -> None:
        ctx.log("paying", {"amount": 12})
        ctx.log("paid")

    await pulse.define("order.paid", "pay")

    run = await pulse.emit_and_wait("order.paid")

    entries = await pulse.engine.get_run_timeline(run.id)
    assert [(entry.type, entry.step_name) for entry in entries] == [
        ("run_created", None),
        ("step_started", "pay"),
        ("log", "pay"),
        ("log", "pay"),
        ("step_completed", "pay"),
        ("run_completed", None),
    ]
    assert entries[2].detail == {"level": "info", "message": "paying", "data": {"amount": 12}}
    assert entries[3].detail == {"level": "info", "message": "paid"}


async def test_logs_can_be_narrowed_to_levels(pulse: PulseTest) -> None:
    @pulse.engine.action("pay")
    async def pay(ctx: WorkflowContext) -> None:
        ctx.log("all is well")
        ctx.log("hm", level="warn")
        ctx.log("no", level="error")

    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")

    every = await pulse.engine.get_run_logs(run.id)
    some = await pulse.engine.get_run_logs(run.id, levels=["warn", "error"])

    assert [line.message for line in every] == ["all is well", "hm", "no"]
    assert [(line.level, line.message) for line in some] == [("warn", "hm"), ("error", "no")]
    step = (await pulse.steps(run.id))["0"]
    assert {line.step_run_id for line in every} == {step.id}


async def test_a_failed_attempt_keeps_its_log_lines(pulse: PulseTest) -> None:
    @pulse.engine.action("pay")
    async def pay(ctx: WorkflowContext) -> None:
        ctx.log(f"attempt {ctx.step.attempt}")
        if ctx.step.attempt == 1:
            raise RuntimeError("no")

    await pulse.define(
        "order.paid", action("pay", retryPolicy={"maxAttempts": 2, "backoffMs": 100})
    )

    run = await pulse.emit_and_wait("order.paid")

    lines = await pulse.engine.get_run_logs(run.id)
    assert [line.message for line in lines] == ["attempt 1", "attempt 2"]


async def test_two_handlers_cannot_have_one_name(pulse: PulseTest) -> None:
    pulse.action("pay")

    with pytest.raises(DuplicateHandlerError, match="'pay' is registered already"):
        pulse.action("pay")


async def test_an_action_and_a_condition_may_have_one_name(pulse: PulseTest) -> None:
    pulse.action("pay", returns={"n": 1})
    pulse.condition("pay", returns=True)
    await pulse.define(
        "order.paid", {"type": "condition", "name": "may pay", "uses": "pay"}, "pay"
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.context == {"pay": {"n": 1}}


async def test_many_runs_at_once_all_complete_and_none_is_mixed_up(pulse: PulseTest) -> None:
    pay = pulse.action("pay")
    await pulse.define("order.paid", "pay")

    triggers = await asyncio.gather(
        *(pulse.emit("order.paid", {"n": number}) for number in range(100))
    )
    runs = await asyncio.gather(
        *(pulse.engine.wait_for_run(trigger.run_ids[0], timeout=60) for trigger in triggers)
    )

    assert {run.status for run in runs} == {"completed"}
    assert sorted(str(ctx.trigger.payload["n"]) for ctx in pay.calls) == sorted(
        str(number) for number in range(100)
    )
