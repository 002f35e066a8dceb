"""Middleware round handlers: order, what its answer means, and no mistake becomes a success."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable

import pytest

from pulse_temporal import (
    ConfigurationError,
    Engine,
    NonRetryableError,
    WorkflowContext,
    create_engine,
    engine_from_environment,
    run_worker,
)
from pulse_temporal.engine.service import NO_POSTGRES
from pulse_temporal.handlers.middleware import pass_through
from pulse_temporal.testing import handler_bench
from pulse_temporal.types import CallNext, Middleware

DSN = "postgresql://pulse@localhost/pulse"


async def answered(*middleware: Middleware, raises: Exception | None = None) -> object:
    """Return what comes of a handler with middleware round it."""

    async def handler() -> object:
        if raises is not None:
            raise raises
        return {"from": "handler"}

    return await pass_through(middleware, handler_bench().ctx, handler)


async def forgets_its_return(_ctx: WorkflowContext, call_next: CallNext) -> object:
    await call_next()
    return None


async def swallows(_ctx: WorkflowContext, call_next: CallNext) -> object:
    try:
        return await call_next()
    except ValueError:
        return None


async def replaces(_ctx: WorkflowContext, call_next: CallNext) -> object:
    try:
        await call_next()
    except ValueError:
        return {"from": "middleware, after a failure"}
    return {"from": "middleware"}


async def stands_in(_ctx: WorkflowContext, _call_next: CallNext) -> object:
    return {"from": "cache"}


async def calls_nobody(_ctx: WorkflowContext, _call_next: CallNext) -> object:
    return None


async def calls_twice(_ctx: WorkflowContext, call_next: CallNext) -> object:
    await call_next()
    return await call_next()


async def swallows_that_it_calls_twice(_ctx: WorkflowContext, call_next: CallNext) -> object:
    await call_next()
    with contextlib.suppress(NonRetryableError):
        await call_next()
    return None


async def does_not_await(_ctx: WorkflowContext, call_next: CallNext) -> object:
    _ = call_next()
    return {"from": "middleware"}


async def leaves_it_running(_ctx: WorkflowContext, call_next: CallNext) -> object:
    running.add(asyncio.ensure_future(call_next()))
    return {"from": "middleware"}


running: set[asyncio.Future[object]] = set()


async def test_the_first_one_is_the_outermost() -> None:
    told: list[str] = []

    async def telling(name: str, _ctx: WorkflowContext, call_next: CallNext) -> object:
        told.append(f"{name} before")
        answer = await call_next()
        told.append(f"{name} after")
        return answer

    outer, inner = (functools.partial(telling, name) for name in ("outer", "inner"))

    assert await answered(outer, inner) == {"from": "handler"}
    assert told == ["outer before", "inner before", "inner after", "outer after"]


@pytest.mark.parametrize(
    ("middleware", "answer"),
    [
        (forgets_its_return, "handler"),
        (swallows, "handler"),
        (replaces, "middleware"),
        (stands_in, "cache"),
    ],
)
async def test_middleware_replaces_the_result_unless_it_returns_none(
    middleware: Middleware, answer: str
) -> None:
    assert await answered(middleware) == {"from": answer}


async def test_a_failure_that_is_swallowed_stays_one() -> None:
    with pytest.raises(ValueError, match="broken"):
        await answered(swallows, raises=ValueError("broken"))


async def test_a_failure_can_be_replaced_by_an_answer() -> None:
    answer = await answered(replaces, raises=ValueError("broken"))
    assert answer == {"from": "middleware, after a failure"}


@pytest.mark.parametrize(
    ("middleware", "mistake"),
    [
        (calls_nobody, "'calls_nobody' returned None without call_next()"),
        (calls_twice, "'calls_twice' called call_next() twice"),
        (swallows_that_it_calls_twice, "called call_next() twice"),
        (does_not_await, "'does_not_await' returned before its call_next() was over"),
        (leaves_it_running, "returned before its call_next() was over"),
    ],
)
async def test_a_mistake_is_a_failure_that_names_its_author(
    middleware: Middleware, mistake: str
) -> None:
    with pytest.raises(NonRetryableError) as raised:
        await answered(middleware)
    assert mistake in str(raised.value)
    await asyncio.gather(*running, return_exceptions=True)


class Counting:
    """A middleware that is an object."""

    async def __call__(self, _ctx: WorkflowContext, call_next: CallNext) -> object:
        return await call_next()


def not_async(_ctx: WorkflowContext, call_next: CallNext) -> object:
    return call_next()


async def takes_one(ctx: WorkflowContext) -> object:
    return ctx


@pytest.mark.parametrize("make", [create_engine, engine_from_environment])
@pytest.mark.parametrize(
    ("given", "flaw"),
    [
        (stands_in, "must be a list of async functions, not a function"),
        ([not_async], "'not_async' is not async"),
        ([Counting], "'Counting' is a class; give an instance"),
        ([takes_one], "'takes_one' cannot be called with two arguments"),
        (["span"], "'str' is not async"),
    ],
)
def test_unusable_middleware_is_refused_when_the_engine_is_made(
    make: Callable[..., object], given: object, flaw: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make(DSN, handler_middleware=given)
    assert flaw in str(raised.value)


def test_objects_and_partials_can_be_middleware() -> None:
    engine = create_engine(DSN, handler_middleware=(Counting(), functools.partial(stands_in)))
    assert len(engine.registry.middleware) == 2


@pytest.mark.parametrize(
    ("given", "flaw"),
    [
        ([stands_in], "'list' is not async"),
        (not_async, "'not_async' is not async"),
        (Counting, "'Counting' is a class; give an instance"),
        (takes_one, "'takes_one' cannot be called with two arguments"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_added(given: object, flaw: str) -> None:
    engine = create_engine(DSN)
    with pytest.raises(ConfigurationError, match=f"add_middleware: .*{flaw}"):
        engine.add_middleware(given)  # pyright: ignore[reportArgumentType] - what a mistake looks like
    assert engine.registry.middleware == ()


def test_what_is_added_runs_inside_of_what_was_given() -> None:
    first, second = Counting(), Counting()
    engine = create_engine(DSN, handler_middleware=[stands_in])
    engine.add_middleware(first)
    engine.add_middleware(second)
    assert engine.registry.middleware == (stands_in, first, second)


def test_a_worker_process_is_given_its_middleware_where_it_registers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine of `pulse worker` is made from the environment; this is the way to it."""
    seen: list[Engine] = []

    def register(engine: Engine) -> None:
        engine.add_middleware(stands_in)
        seen.append(engine)

    monkeypatch.setenv("DATABASE_URL", "postgresql://pulse@127.0.0.1:1/nowhere")
    assert run_worker(register, migrate=False) == NO_POSTGRES
    (engine,) = seen
    assert engine.registry.middleware == (stands_in,)
