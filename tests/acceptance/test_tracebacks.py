"""Where a handler failed is in the log and on the attempt, however it was called."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from typing_extensions import override

from pulse_temporal import (
    HandlerContextFilter,
    NonRetryableError,
    NotFoundError,
    RetryAfterError,
    WorkflowContext,
)
from pulse_temporal.testing import action, condition
from tests.harness import TENANT, PulseTest

LOGGER = "pulse_temporal.handlers"
TWICE = {"maxAttempts": 2, "backoffMs": 100}


def price_of(row: dict[str, int]) -> int:
    secret = "never" + " shown"
    return row[secret and "cents"]


async def in_loop(_: WorkflowContext) -> None:
    price_of({})


def in_thread(_: WorkflowContext) -> None:
    price_of({})


def records(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.name == LOGGER and each.levelno == level]


WAYS: dict[str, tuple[Callable[[WorkflowContext], object], dict[str, object], bool]] = {
    "local": (in_loop, {"timeoutMs": 1_500}, False),
    "queued": (in_loop, {}, False),
    "thread": (in_thread, {}, False),
    "transactional": (in_loop, {}, True),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_failed_attempt_shows_where(
    pulse: PulseTest, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    handler, fields, transactional = WAYS[way]
    pulse.engine.register_action("price", handler, transactional=transactional)  # pyright: ignore[reportArgumentType] - raises
    await pulse.define("order.paid", action("price", retryPolicy=TWICE, **fields))

    run = await pulse.emit_and_wait("order.paid")

    attempts = await pulse.engine.get_step_attempts(run.id, "0")
    assert [(each.attempt, each.status) for each in attempts] == [(1, "failed"), (2, "failed")]
    for each in attempts:
        text = each.traceback or ""
        assert "in price_of" in text
        assert "KeyError: 'cents'" in text
        assert "pulse_temporal/" not in text
        assert "never shown" not in text
    warnings = records(caplog, logging.WARNING)
    assert len(warnings) == 2
    (error,) = records(caplog, logging.ERROR)
    for record in (*warnings, error):
        text = record.getMessage()
        assert all(fact in text for fact in (run.id, TENANT, "'price'", "path 0", "KeyError"))
        assert record.exc_info
    with pytest.raises(NotFoundError):
        await pulse.engine.get_step_attempts(run.id, tenant_id="another")


async def test_a_condition_shows_where(pulse: PulseTest) -> None:
    pulse.engine.register_condition("ask", in_loop)  # pyright: ignore[reportArgumentType] - raises
    await pulse.define("order.paid", condition("ask"))

    run = await pulse.emit_and_wait("order.paid")

    (attempt,) = await pulse.engine.get_step_attempts(run.id)
    assert "in price_of" in (attempt.traceback or "")


async def hang(_: WorkflowContext) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
async def test_a_timeout_shows_where_the_handler_was(pulse: PulseTest, is_async: bool) -> None:
    release = threading.Event()

    def block(_: WorkflowContext) -> None:
        release.wait(30)

    pulse.engine.register_action("wait", hang if is_async else block)
    await pulse.define("order.paid", action("wait", timeoutMs=300))

    run = await pulse.emit_and_wait("order.paid")
    release.set()

    (attempt,) = await pulse.engine.get_step_attempts(run.id)
    assert attempt.status == "timed_out"
    assert f"in {'hang' if is_async else 'block'}" in (attempt.traceback or "")


async def test_members_causes_and_notes_are_kept(pulse: PulseTest) -> None:
    @pulse.engine.action("gather")
    async def gather(_: WorkflowContext) -> None:
        async def first() -> None:
            try:
                price_of({})
            except KeyError as error:
                raise ValueError("no price") from error

        async def second() -> None:
            error = RuntimeError("no stock")
            error.add_note("while counting shelf 7")
            raise error

        async with asyncio.TaskGroup() as group:
            group.create_task(first())
            group.create_task(second())

    await pulse.define("order.paid", "gather")

    run = await pulse.emit_and_wait("order.paid")

    (attempt,) = await pulse.engine.get_step_attempts(run.id)
    assert "ValueError: no price; RuntimeError: no stock" in (attempt.error_message or "")
    for part in ("KeyError: 'cents'", "in price_of", "while counting shelf 7"):
        assert part in (attempt.traceback or "")
    assert "asyncio/" not in (attempt.traceback or "")


@pytest.mark.parametrize("depth", [1, 2])
async def test_one_member_may_rule_out_another_attempt(pulse: PulseTest, depth: int) -> None:
    calls: list[int] = []

    @pulse.engine.action("fetch")
    async def fetch(ctx: WorkflowContext) -> None:
        calls.append(ctx.step.attempt)
        members: list[Exception] = [KeyError("a"), NonRetryableError("closed")]
        for _ in range(depth - 1):
            members = [ExceptionGroup("inner", members)]
        raise ExceptionGroup("outer", members)

    await pulse.define("order.paid", action("fetch", retryPolicy=TWICE))

    run = await pulse.emit_and_wait("order.paid")

    assert (run.status, calls) == ("failed", [1])
    assert "closed" in (run.error_message or "")


async def test_the_longest_pause_of_a_group_is_kept(pulse: PulseTest) -> None:
    @pulse.engine.action("fetch")
    async def fetch(_: WorkflowContext) -> None:
        raise ExceptionGroup(
            "g",
            [
                RetryAfterError("soon", retry_after=timedelta(seconds=1)),
                RetryAfterError("later", retry_after=timedelta(hours=1)),
            ],
        )

    await pulse.define("order.paid", action("fetch", retryPolicy=TWICE))
    (run_id,) = (await pulse.emit("order.paid")).run_ids

    step = await pulse.wait_for_step(run_id, "0", "scheduled")

    assert step.next_attempt_at is not None
    assert step.started_at is not None
    assert step.next_attempt_at - step.started_at > timedelta(minutes=50)
    await pulse.engine.cancel_run(run_id)


async def test_the_applications_own_lines_know_their_step(pulse: PulseTest) -> None:
    found: list[tuple[object, ...]] = []

    class Keep(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            facts = ("run_id", "step", "tenant_id", "path", "attempt")
            found.append(tuple(getattr(record, name) for name in facts))

    keep = Keep()
    keep.addFilter(HandlerContextFilter())
    logger = logging.getLogger("shop")
    logger.addHandler(keep)

    @pulse.engine.action("pay")
    def pay(_: WorkflowContext) -> None:
        logger.warning("in a thread")

    @pulse.engine.action("ship")
    async def ship(_: WorkflowContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(logger.warning, "in a task's thread"))

    await pulse.define("order.paid", "pay", "ship")
    try:
        run = await pulse.emit_and_wait("order.paid")
        logger.warning("outside")
    finally:
        logger.removeHandler(keep)

    assert found == [
        (run.id, "pay", TENANT, "0", 1),
        (run.id, "ship", TENANT, "1", 1),
        ("-",) * 5,
    ]
