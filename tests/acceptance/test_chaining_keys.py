"""What makes two emits of handlers one signal: the handler's key, else the content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from pulse_temporal import TriggerEnvelope, WorkflowContext
from pulse_temporal.testing import action, condition
from tests.harness import SOURCE, PulseTest

TWO = {"maxAttempts": 2, "backoffMs": 100}

Signal = Mapping[str, object]
Plan = Callable[[WorkflowContext], Sequence[Signal]]


def ready(**fields: object) -> dict[str, object]:
    return {"source": SOURCE, "type": "order.ready", **fields}


def emits(pulse: PulseTest, name: str, plan: Plan, *, fails: int = 0) -> list[TriggerEnvelope]:
    """Register an action that emits what the plan says, then fails so many times."""
    emitted: list[TriggerEnvelope] = []

    @pulse.engine.action(name)
    async def emit(ctx: WorkflowContext) -> None:
        emitted.extend([await ctx.emit(signal) for signal in plan(ctx)])
        if ctx.step.attempt <= fails:
            raise RuntimeError("after the emits")

    return emitted


async def stored(pulse: PulseTest) -> list[int]:
    """Return the orders of all stored signals of the type, in order."""
    async with pulse.engine.transaction() as connection:
        rows = await connection.fetch(
            "SELECT (payload->>'order')::int AS n FROM pulse_triggers"
            " WHERE type = 'order.ready' ORDER BY 1"
        )
    return [row["n"] for row in rows]


async def test_a_repetition_in_another_order_emits_each_signal_once(pulse: PulseTest) -> None:
    """The first attempt sends 1 and 2; the second 3, 2 and 1: the order goes by a set's mood."""

    def plan(ctx: WorkflowContext) -> list[Signal]:
        orders = (1, 2) if ctx.step.attempt == 1 else (3, 2, 1)
        return [ready(payload={"order": order}) for order in orders]

    emitted = emits(pulse, "announce", plan, fails=1)
    await pulse.define("order.ready")
    await pulse.define("order.paid", action("announce", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await stored(pulse) == [1, 2, 3]
    assert [envelope.duplicate for envelope in emitted] == [False, False, False, True, True]


async def test_equal_signals_of_one_step_are_as_many_as_it_emits(pulse: PulseTest) -> None:
    """Two equal ones and a third in between: again two and one, in whatever order."""

    def plan(ctx: WorkflowContext) -> list[Signal]:
        orders = (1, 2, 1) if ctx.step.attempt == 1 else (1, 1, 2)
        return [ready(payload={"order": order}) for order in orders]

    emits(pulse, "announce", plan, fails=1)
    await pulse.define("order.ready")
    await pulse.define("order.paid", action("announce", retryPolicy=TWO))

    await pulse.emit_and_wait("order.paid")

    assert await stored(pulse) == [1, 1, 2]


async def test_content_that_differs_in_each_attempt_needs_a_key(pulse: PulseTest) -> None:
    """Without one each content is a signal; with one the second attempt is told of the first."""

    def plan(ctx: WorkflowContext) -> list[Signal]:
        return [ready(payload={"order": ctx.step.attempt})]

    emits(pulse, "announce", plan, fails=1)
    await pulse.define("order.ready")
    await pulse.define("order.paid", action("announce", retryPolicy=TWO))

    await pulse.emit_and_wait("order.paid")

    assert await stored(pulse) == [1, 2]


async def test_a_handlers_own_key_is_the_tenants(pulse: PulseTest) -> None:
    """Two runs, and somebody outside, say that one order is ready: one signal."""
    emitted = emits(
        pulse, "announce", lambda _: [ready(idempotencyKey="o-1", payload={"order": 1})]
    )
    await pulse.define("order.ready")
    await pulse.define("order.paid", "announce")

    first = await pulse.emit_and_wait("order.paid")
    await pulse.emit_and_wait("order.paid")
    outside = await pulse.emit("order.ready", {"order": 1}, idempotencyKey="o-1")

    assert await stored(pulse) == [1]
    assert [envelope.duplicate for envelope in emitted] == [False, True]
    assert {envelope.idempotency_key for envelope in emitted} == {"o-1"}
    assert (outside.id, outside.duplicate) == (emitted[0].id, True)
    assert emitted[0].caused_by_run_id == first.id


async def test_a_handlers_own_key_with_other_content_is_refused(pulse: PulseTest) -> None:
    emits(pulse, "announce", lambda _: [ready(idempotencyKey="o-1", payload={"order": 2})])
    await pulse.define("order.ready")
    await pulse.define("order.paid", "announce")
    await pulse.emit("order.ready", {"order": 1}, idempotencyKey="o-1")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "IdempotencyConflictError: The idempotency key 'o-1'" in (run.error_message or "")


@pytest.mark.parametrize("key", ["chain:run_1:0:order.ready:0", "cron:x", "replay:x"])
async def test_a_handler_may_not_use_keys_of_pulse(pulse: PulseTest, key: str) -> None:
    emits(pulse, "announce", lambda _: [ready(idempotencyKey=key)])
    await pulse.define("order.ready")
    await pulse.define("order.paid", "announce")

    run = await pulse.emit_and_wait("order.paid")

    assert "idempotencyKey must not begin with" in (run.error_message or "")


async def test_keys_count_for_handlers_of_every_kind(pulse: PulseTest) -> None:
    """In a thread, in a condition, and inside of a transaction that is undone and repeated."""
    emitted: list[TriggerEnvelope] = []

    @pulse.engine.action("threaded")
    def threaded(ctx: WorkflowContext) -> None:
        emitted.append(ctx.emit_blocking(ready(idempotencyKey="o-1", payload={"order": 1})))

    @pulse.engine.condition("asked")
    async def asked(ctx: WorkflowContext) -> bool:
        emitted.append(await ctx.emit(ready(idempotencyKey="o-1", payload={"order": 1})))
        return True

    @pulse.engine.action("transactional", transactional=True)
    async def transactional(ctx: WorkflowContext) -> None:
        emitted.append(await ctx.emit(ready(idempotencyKey="o-1", payload={"order": 1})))
        emitted.append(await ctx.emit(ready(idempotencyKey="o-2", payload={"order": 2})))
        if ctx.step.attempt == 1:
            raise RuntimeError("undone")

    await pulse.define("order.ready")
    await pulse.define(
        "order.paid", "threaded", condition("asked"), action("transactional", retryPolicy=TWO)
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await stored(pulse) == [1, 2]
    assert [envelope.duplicate for envelope in emitted] == [
        *(False, True),
        *(True, False),
        *(True, False),
    ]
