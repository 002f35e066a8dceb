"""Middleware runs round every call of a handler, wherever and however it is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest

from pulse_temporal import ConfigurationError, WorkflowContext, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import condition
from pulse_temporal.types import CallNext, Middleware
from tests.harness import PulseTest

customer: ContextVar[str] = ContextVar("customer")


@asynccontextmanager
async def engine_with(
    servers: EmbeddedServices, dsn: str, *middleware: Middleware
) -> AsyncGenerator[PulseTest]:
    """Run an engine with middleware."""
    queue = f"middleware-{id(middleware)}"
    engine = create_engine(
        dsn, servers.temporal_address, queue_prefix=queue, handler_middleware=middleware
    )
    async with engine:
        yield PulseTest(engine, dsn=dsn, temporal_address=servers.temporal_address)


async def test_every_kind_of_handler_is_called_through_it(
    servers: EmbeddedServices, database: str
) -> None:
    """Actions and conditions, async, in a thread, in a transaction, local and queued."""
    told: list[str] = []

    async def telling(ctx: WorkflowContext, call_next: CallNext) -> object:
        token = customer.set(ctx.tenant_id)
        try:
            return await call_next()
        finally:
            customer.reset(token)
            told.append(ctx.step.step_name)

    def who(_ctx: WorkflowContext) -> dict[str, object]:
        return {"customer": customer.get()}

    async def who_async(ctx: WorkflowContext) -> dict[str, object]:
        return who(ctx)

    async with engine_with(servers, database, telling) as pulse:
        pulse.condition("asked")
        pulse.engine.register_action("thread", who)
        pulse.engine.register_action("plain", who_async)
        pulse.engine.register_action("transaction", who_async, transactional=True)
        local = {"type": "action", "name": "local", "uses": "plain", "timeoutMs": 1_000}
        steps = [condition("asked"), "thread", "plain", "transaction", local]
        await pulse.define("alert", *steps)
        run = await pulse.emit_and_wait("alert")

    assert run.status == "completed"
    names = ["thread", "plain", "transaction", "local"]
    assert told == ["asked", *names]
    assert run.context == {name: {"customer": run.tenant_id} for name in names}


async def test_an_error_of_middleware_fails_the_attempt_with_its_traceback(
    servers: EmbeddedServices, database: str
) -> None:
    """The policy of the step decides on the next attempt, as for a handler that raises."""

    async def failing_at_first(ctx: WorkflowContext, call_next: CallNext) -> object:
        if ctx.step.attempt == 1:
            raise LookupError("no session")
        return await call_next()

    async with engine_with(servers, database, failing_at_first) as pulse:
        work = pulse.action("work", returns={"ok": True})
        policy = {"maxAttempts": 2, "backoffMs": 100}
        await pulse.define("alert", {"type": "action", "name": "work", "retryPolicy": policy})
        run = await pulse.emit_and_wait("alert")
        attempts = await pulse.engine.get_step_attempts(run.id)

    assert (run.status, work.call_count) == ("completed", 1)
    assert attempts[0].error_message == "LookupError: no session"
    assert "in failing_at_first" in (attempts[0].traceback or "")


async def test_middlewares_answer_is_recorded_and_its_time_counts_as_the_steps(
    servers: EmbeddedServices, database: str
) -> None:
    async def caching(ctx: WorkflowContext, _call_next: CallNext) -> object:
        if ctx.step.step_name == "slow":
            await asyncio.sleep(60)
        return {"from": "cache"}

    async with engine_with(servers, database, caching) as pulse:
        work = pulse.action("work", returns={"from": "handler"})
        slow = {"type": "action", "name": "slow", "uses": "work", "timeoutMs": 200}
        await pulse.define("alert", "work", slow)
        run = await pulse.emit_and_wait("alert")
        attempts = await pulse.engine.get_step_attempts(run.id, "1")

    assert (run.status, work.call_count) == ("failed", 0)
    assert run.context == {"work": {"from": "cache"}}
    assert attempts[0].status == "timed_out"
    assert "in caching" in (attempts[0].traceback or "")


async def test_writes_of_middleware_commit_with_the_step(
    servers: EmbeddedServices, database: str
) -> None:
    """A failure after the handler undoes the handler's effect too."""

    async def charging(ctx: WorkflowContext, call_next: CallNext) -> object:
        await call_next()
        await ctx.connection.execute("INSERT INTO audit VALUES ($1)", ctx.step.step_name)
        if ctx.step.step_name == "refused":
            raise PermissionError("too late")
        return None

    async with engine_with(servers, database, charging) as pulse:
        async with pulse.engine.transaction() as connection:
            await connection.execute("CREATE TABLE audit (entry text)")

        async def write(ctx: WorkflowContext) -> dict[str, object]:
            await ctx.connection.execute("INSERT INTO audit VALUES ('handler')")
            return {"wrote": 1}

        pulse.engine.register_action("write", write, transactional=True)
        refused = {"type": "action", "name": "refused", "uses": "write"}
        await pulse.define("alert", "write", refused)
        run = await pulse.emit_and_wait("alert")
        async with pulse.engine.transaction() as connection:
            entries = [row["entry"] for row in await connection.fetch("SELECT entry FROM audit")]

    assert (run.status, run.context) == ("failed", {"write": {"wrote": 1}})
    assert entries == ["handler", "write"]


async def test_what_is_added_before_the_start_runs_inside(
    servers: EmbeddedServices, database: str
) -> None:
    """After the start it is refused: only some calls would go through it."""
    told: list[str] = []

    async def outer(_ctx: WorkflowContext, call_next: CallNext) -> object:
        told.append("outer")
        return await call_next()

    async def inner(_ctx: WorkflowContext, call_next: CallNext) -> object:
        told.append("inner")
        return await call_next()

    engine = create_engine(
        database,
        servers.temporal_address,
        queue_prefix="middleware-added",
        handler_middleware=[outer],
    )
    engine.add_middleware(inner)
    async with engine:
        with pytest.raises(ConfigurationError, match="The engine is started"):
            engine.add_middleware(outer)
        pulse = PulseTest(engine, dsn=database, temporal_address=servers.temporal_address)
        pulse.action("work")
        await pulse.define("alert", "work")
        assert (await pulse.emit_and_wait("alert")).status == "completed"
    assert told == ["outer", "inner"]
    engine.add_middleware(outer)
    assert engine.registry.middleware == (outer, inner, outer)
