"""Whatever a handler is made of, what it returns is awaited, and its emits are."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import pytest
from pydantic import BaseModel, SecretStr

from pulse_temporal import (
    ActionResult,
    RunCompleteEvent,
    WorkflowContext,
)
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, condition
from tests.harness import SOURCE, PulseTest, eventually, make_pulse


class Charge:
    """A handler that is an object."""

    async def __call__(self, ctx: WorkflowContext) -> dict[str, object]:
        return await charge(ctx)


class Span(contextlib.ContextDecorator):
    """Wraps a coroutine function in one that is not async, as many libraries do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


async def charge(_: WorkflowContext) -> dict[str, object]:
    await asyncio.sleep(0)
    return {"charged": True}


async def forwarded(ctx: WorkflowContext) -> Awaitable[dict[str, object]]:
    return charge(ctx)


def task(ctx: WorkflowContext) -> Awaitable[dict[str, object]]:
    return forwarded(ctx)  # pyright: ignore[reportReturnType] - an awaitable of an awaitable


def decorated(
    function: Callable[[WorkflowContext], Awaitable[dict[str, object]]],
) -> Callable[[WorkflowContext], Awaitable[dict[str, object]]]:
    @functools.wraps(function)
    def call(ctx: WorkflowContext) -> Awaitable[dict[str, object]]:
        return function(ctx)

    return call


def not_async(ctx: WorkflowContext) -> Awaitable[dict[str, object]]:
    return charge(ctx)


HANDLERS: Mapping[str, object] = {
    "function": not_async,
    "decorated": decorated(charge),
    "partial of an object": functools.partial(Charge()),
    "partial": functools.partial(charge),
    "ContextDecorator": Span()(charge),
    "forgotten await": forwarded,
    "awaitable of an awaitable": task,
}


@pytest.mark.parametrize("name", HANDLERS)
async def test_what_an_action_returns_is_awaited(pulse: PulseTest, name: str) -> None:
    pulse.engine.register_action("charge", HANDLERS[name])  # pyright: ignore[reportArgumentType] - as loosely typed as an application
    await pulse.define("order.paid", "charge")

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, run.error_message) == ("completed", None)
    assert run.context == {"charge": {"charged": True}}


async def test_what_a_condition_returns_is_awaited(pulse: PulseTest) -> None:
    async def no(_: WorkflowContext) -> bool:
        return False

    pulse.engine.register_condition("is_due", lambda ctx: no(ctx))  # noqa: PLW0108 - no coroutine function
    after = pulse.action("after")
    await pulse.define("order.paid", condition("is_due"), "after")

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, after.call_count) == ("completed", 0)


async def test_what_a_hook_returns_is_awaited(servers: EmbeddedServices, database: str) -> None:
    told: list[str] = []

    async def tell(event: RunCompleteEvent) -> None:
        await asyncio.sleep(0)
        told.append(event.run.id)

    def hook(event: RunCompleteEvent) -> Awaitable[None]:
        return tell(event)

    pulse = make_pulse(database, servers.temporal_address, on_run=hook)
    pulse.action("act")
    async with pulse.engine:
        await pulse.define("order.paid", "act")
        run = await pulse.emit_and_wait("order.paid")

        async def is_told() -> bool:
            return told == [run.id]

        assert await eventually(is_told)


ANNOUNCED = {"source": SOURCE, "type": "announced"}


async def forgets(ctx: WorkflowContext) -> None:
    ctx.emit(ANNOUNCED)  # pyright: ignore[reportUnusedCoroutine] - the mistake


def forgets_in_a_thread(ctx: WorkflowContext) -> None:
    ctx.emit(ANNOUNCED)  # pyright: ignore[reportUnusedCoroutine] - the mistake


async def leaves_a_task(ctx: WorkflowContext) -> None:
    ctx.log("a task", {"of": str(asyncio.ensure_future(ctx.emit(ANNOUNCED)))})


@pytest.mark.parametrize("timeout_ms", [1_500, 60_000], ids=["local", "queued"])
@pytest.mark.parametrize("handler", [forgets, forgets_in_a_thread, leaves_a_task])
async def test_an_emit_that_nobody_awaits_fails_the_attempt(
    pulse: PulseTest, handler: Callable[[WorkflowContext], None], timeout_ms: int
) -> None:
    """A signal that is lost in silence is worse than a step that says so."""
    pulse.signal("announced")
    pulse.engine.register_action("announce", handler)
    retry = {"maxAttempts": 3, "backoffMs": 100}
    await pulse.define("order.paid", action("announce", timeoutMs=timeout_ms, retryPolicy=retry))

    run = await pulse.emit_and_wait("order.paid")

    step = (await pulse.steps(run.id))["0"]
    assert (run.status, step.attempt) == ("failed", 1)
    assert "EmitNotAwaitedError: The handler" in (step.error_message or "")


async def test_an_emit_in_a_transaction_must_be_awaited_too(pulse: PulseTest) -> None:
    pulse.signal("announced")
    pulse.engine.register_action("announce", forgets, transactional=True)
    await pulse.define("order.paid", "announce")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "EmitNotAwaitedError" in (run.error_message or "")


async def test_emits_that_a_handler_gathers_are_awaited(pulse: PulseTest) -> None:
    pulse.signal("announced")

    @pulse.engine.action("announce")
    async def announce(ctx: WorkflowContext) -> dict[str, object]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ctx.emit(ANNOUNCED)) for _ in range(3)]
        return {"ids": [each.result().id for each in tasks]}

    await pulse.define("order.paid", "announce")

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, run.error_message) == ("completed", None)


class Ported(BaseModel):
    success: bool
    error: str | None = None


REPORTED: Mapping[str, object] = {
    "failure": {"success": False, "error": "no such card"},
    "failure with data": {"success": False, "error": "no such card", "data": {"a": 1}},
    "failure as a model": Ported(success=False, error="no such card"),
}


@pytest.mark.parametrize("kind", ["action", "condition"])
@pytest.mark.parametrize("name", REPORTED)
async def test_a_failure_in_the_shape_of_the_typescript_pulse_is_one(
    pulse: PulseTest, kind: str, name: str
) -> None:
    probe = (pulse.action if kind == "action" else pulse.condition)("step", returns=REPORTED[name])
    retry = {"maxAttempts": 2, "backoffMs": 100}
    await pulse.define("order.paid", {"type": kind, "name": "step", "retryPolicy": retry})

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, run.error_message) == ("failed", "step: ActionFailedError: no such card")
    assert probe.call_count == 2


DATA: Mapping[str, tuple[object, object]] = {
    "success with data": ({"success": True, "data": {"id": 7}}, {"id": 7}),
    "success with a model": (
        ActionResult(data=Ported(success=True)),
        {"success": True, "error": None},
    ),
    "one field more": ({"success": False, "id": 7}, {"success": False, "id": 7}),
    "counted": ({"success": 3, "error": 1}, {"success": 3, "error": 1}),
    "no success": ({"error": "none"}, {"error": "none"}),
}


@pytest.mark.parametrize("name", DATA)
async def test_a_success_in_that_shape_gives_its_data(pulse: PulseTest, name: str) -> None:
    returned, kept = DATA[name]
    pulse.action("act", returns=returned)
    await pulse.define("order.paid", "act")

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, run.context) == ("completed", {"act": kept})


async def test_a_condition_may_answer_in_that_shape(pulse: PulseTest) -> None:
    pulse.condition("ask", returns={"success": True, "data": False})
    after = pulse.action("after")
    await pulse.define("order.paid", condition("ask"), "after")

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, after.call_count) == ("completed", 0)


class Login(BaseModel):
    token: SecretStr = SecretStr("s3cret")


async def test_a_secret_in_a_result_fails_the_step_with_its_place(pulse: PulseTest) -> None:
    """Stored as stars it would be found out when it is needed."""
    pulse.action("act", returns={"logins": [Login()]})
    await pulse.define("order.paid", "act")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "result/logins/0/token: a SecretStr is not JSON" in (run.error_message or "")
    assert "s3cret" not in (run.error_message or "")
