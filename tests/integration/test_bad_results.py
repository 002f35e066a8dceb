"""Whatever a handler returns or raises ends as a failed step, and the worker lives on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from typing_extensions import override

from pulse_temporal import ActionResult, WorkflowContext
from tests.harness import PulseTest, action, condition

TWO = {"maxAttempts": 2, "backoffMs": 100}
KIBIBYTE = 1024


@dataclass
class Odd:
    """Nothing that JSON knows."""

    n: int = 1


RESULTS: dict[str, tuple[object, str]] = {
    "NaN": ({"n": float("nan")}, "result/n: NaN is not a finite number"),
    "set": ({"n": {1}}, "result/n"),
    "object": ({"n": Odd()}, "result/n"),
    "1 MiB": ({"n": "x" * 2**20}, "more than 262144 bytes"),
    "NUL": ({"n": "a\0b"}, "result/n: the text contains NUL"),
    "lone surrogate": ({"n": "\udfff"}, "lone surrogate"),
    "huge integer": ({"n": 2**64}, "outside 64 bits"),
    "number as key": ({1: "n"}, "keys must be text"),
    "text": ("done", "must return a mapping, an ActionResult or None, not a value of type 'str'"),
    "list": ([1], "not a value of type 'list'"),
    "true": (True, "not a value of type 'bool'"),
    "NaN in a result": (ActionResult(data={"n": float("nan")}), "result/n: NaN"),
}


async def works_on(pulse: PulseTest) -> None:
    """Check that the worker does what comes next."""
    pulse.action("next")
    await pulse.define("next", "next")
    run = await pulse.emit_and_wait("next")
    assert run.status == "completed"


@pytest.mark.parametrize(("returned", "says"), RESULTS.values(), ids=RESULTS.keys())
async def test_a_result_that_cannot_be_stored_fails_the_step_at_once(
    pulse: PulseTest, returned: object, says: str
) -> None:
    """The handler has done its work, so it is not called again."""
    act = pulse.action("act", returns=returned)
    await pulse.define("order.paid", action("act", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    step = (await pulse.steps(run.id))["0"]
    assert (run.status, step.status, act.calls) == ("failed", "failed", 1)
    assert step.error_message is not None
    assert step.error_message.startswith("HandlerResultError: ")
    assert says in step.error_message
    assert step.result is None
    await works_on(pulse)


@pytest.mark.parametrize("answer", [None, 1, 0, "true", [], {"value": True}], ids=repr)
async def test_a_condition_must_answer_true_or_false(pulse: PulseTest, answer: object) -> None:
    pulse.condition("is_large", returns=answer)
    await pulse.define("order.paid", condition("is_large"))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "Condition 'is_large' must return True or False" in (run.error_message or "")
    await works_on(pulse)


class Unprintable(Exception):  # noqa: N818 - its name is no matter
    """Fails to describe itself."""

    @override
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoException(BaseException):
    """Not caught by ``except Exception``."""


ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "huge text": (lambda: RuntimeError("x" * 2**20), "RuntimeError: xxx"),
    "huge text in UTF-8": (lambda: RuntimeError("☃" * 2**20), "RuntimeError: ☃☃☃"),
    "lone surrogate": (lambda: RuntimeError("a\ud800b"), "RuntimeError: a\ufffdb"),
    "NUL": (lambda: RuntimeError("a\0b"), "RuntimeError: a\ufffdb"),
    "no text": (RuntimeError, "RuntimeError"),
    "unprintable": (Unprintable, "Unprintable: (its text could not be read: RuntimeError)"),
    "group": (lambda: ExceptionGroup("two", [ValueError("a")]), "ExceptionGroup: two"),
    "recursion": (lambda: RecursionError("too deep"), "RecursionError: too deep"),
    "stop iteration": (StopIteration, "raised StopIteration"),
    "stop async iteration": (StopAsyncIteration, "StopAsyncIteration"),
    "canceled": (asyncio.CancelledError, "CancelledError"),
    "timeout": (TimeoutError, "TimeoutError"),
    "generator exit": (GeneratorExit, "GeneratorExit"),
    "no Exception": (lambda: NoException("out"), "NoException: out"),
    "exit": (lambda: SystemExit(3), "tried to end the process: SystemExit(3)"),
    "interrupt": (KeyboardInterrupt, "tried to end the process: KeyboardInterrupt()"),
}


@pytest.mark.parametrize("timeout_ms", [1_500, 60_000], ids=["local", "queued"])
@pytest.mark.parametrize(("make", "says"), ERRORS.values(), ids=ERRORS.keys())
async def test_whatever_an_async_handler_raises_fails_the_step(
    pulse: PulseTest, make: Callable[[], BaseException], says: str, timeout_ms: int
) -> None:
    @pulse.engine.action("act")
    async def act(_: WorkflowContext) -> None:
        raise make()

    await pulse.define("order.paid", action("act", timeoutMs=timeout_ms))

    run = await pulse.emit_and_wait("order.paid")

    step = (await pulse.steps(run.id))["0"]
    assert (run.status, step.status) == ("failed", "failed")
    assert step.error_message is not None
    assert says in step.error_message
    assert len(step.error_message.encode()) <= 8 * KIBIBYTE
    await works_on(pulse)


@pytest.mark.parametrize(
    "name", ["huge text", "lone surrogate", "no Exception", "exit", "interrupt", "stop iteration"]
)
async def test_whatever_a_sync_handler_raises_fails_the_step(pulse: PulseTest, name: str) -> None:
    make, says = ERRORS[name]

    @pulse.engine.action("act")
    def act(_: WorkflowContext) -> None:
        raise make()

    await pulse.define("order.paid", "act")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert says in ((await pulse.steps(run.id))["0"].error_message or "")
    await works_on(pulse)


async def test_an_error_that_is_too_long_is_cut_and_marked(pulse: PulseTest) -> None:
    @pulse.engine.action("act")
    async def act(_: WorkflowContext) -> None:
        raise RuntimeError("x" * 2**20)

    await pulse.define("order.paid", "act")

    run = await pulse.emit_and_wait("order.paid")

    assert ((await pulse.steps(run.id))["0"].error_message or "").endswith("… [truncated]")


async def test_log_lines_that_postgres_cannot_store_are_repaired(pulse: PulseTest) -> None:
    """Refusing them would lose the line that explains what happened."""

    @pulse.engine.action("act")
    async def act(ctx: WorkflowContext) -> None:
        ctx.log("a\0b", {"n": float("nan"), "o": Odd(), "deep": {"x": {1: "\ud800"}}})
        ctx.log("x" * 2**20, {"x": "y" * 2**20})

    await pulse.define("order.paid", "act")

    run = await pulse.emit_and_wait("order.paid")

    first, second = await pulse.engine.get_run_logs(run.id)
    assert run.status == "completed"
    assert first.message == "a\ufffdb"
    assert first.data == {"n": "NaN", "o": "Odd(n=1)", "deep": {"x": {"1": "\ufffd"}}}
    assert len(second.message.encode()) <= 8 * KIBIBYTE
    assert second.data is not None
    assert second.data["truncated"] is True


async def test_a_flood_of_log_lines_is_cut_and_counted(pulse: PulseTest) -> None:
    @pulse.engine.action("act")
    async def act(ctx: WorkflowContext) -> None:
        for number in range(1_500):
            ctx.log(f"line {number}")

    await pulse.define("order.paid", "act")

    run = await pulse.emit_and_wait("order.paid")

    lines = await pulse.engine.get_run_logs(run.id)
    assert len(lines) == 1_001
    assert lines[-1].message == "500 more lines were dropped; the limit is 1000."
