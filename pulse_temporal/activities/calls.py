"""Call a handler within its time, and turn what comes of it into something to record."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from temporalio import activity
from temporalio.exceptions import ApplicationError

from pulse_temporal.activities.results import result_of
from pulse_temporal.config import Limits
from pulse_temporal.errors import (
    EmitNotAwaitedError,
    HandlerResultError,
    HandlerTimeoutError,
    NonRetryableError,
    RetryAfterError,
)
from pulse_temporal.handlers.callables import settled
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.handlers.registry import Action, Condition
from pulse_temporal.handlers.threads import HandlerThread
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.plain import cut_repr, spell
from pulse_temporal.store.steps import FailedAttempt

CLEAN_UP = timedelta(seconds=2)
"""How long a handler may clean up after it was canceled or its time was over."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A handler's result as JSON text; None: it has none."""

    result: str | None


Called: TypeAlias = Succeeded | FailedAttempt


async def call(
    handler: Action | Condition,
    ctx: WorkflowContext,
    *,
    bound: timedelta,
    limits: Limits,
    thread: HandlerThread | None,
) -> Called:
    """Call a handler; every outcome but cancellation is a value.

    Args:
        handler: The handler.
        ctx: For the handler.
        bound: Longest time; after it the handler is canceled and the attempt has failed.
        limits: Sizes of result and error.
        thread: Where to call it, and free; None: in the event loop.
    """
    try:
        return await _call(handler, ctx, bound=bound, limits=limits, thread=thread)
    finally:
        ctx.drop_emits()


async def _call(
    handler: Action | Condition,
    ctx: WorkflowContext,
    *,
    bound: timedelta,
    limits: Limits,
    thread: HandlerThread | None,
) -> Called:
    task = asyncio.ensure_future(_guarded(handler, ctx, thread))
    try:
        done, _ = await asyncio.wait({task}, timeout=bound.total_seconds())
    except asyncio.CancelledError:
        ctx.cancel()
        await _stop(task)
        raise
    if not done:
        ctx.cancel()
        await _stop(task)
        message = f"{HandlerTimeoutError.__name__}: the attempt took longer than {bound}."
        return FailedAttempt(message=message, retryable=True, timed_out=True)
    try:
        value = task.result()
        ctx.check_emits()
        return Succeeded(result_of(handler, value, limits))
    except BaseException as error:  # noqa: BLE001 - handlers raise anything; nothing is awaited here
        return _failed(error, limits.error_bytes)


@asynccontextmanager
async def heartbeats(*, every: timedelta, during: timedelta) -> AsyncGenerator[None]:
    """Tell Temporal that this worker lives, until the block or the attempt's time ends.

    Temporal counts the start of the activity as the first sign of life, so a handler that is
    done within ``every`` costs the server nothing more.
    """

    async def beat() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(during.total_seconds()):
                while True:
                    await asyncio.sleep(every.total_seconds())
                    activity.heartbeat()

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()


async def _guarded(
    handler: Action | Condition, ctx: WorkflowContext, thread: HandlerThread | None
) -> object:
    """Keep what would end the process inside the step."""
    try:
        if thread is None:
            return await settled(handler.handler(ctx))
        context = contextvars.copy_context()

        def call_there() -> object:
            try:
                return context.run(handler.handler, ctx)
            except StopIteration as error:  # no future takes it: its waiter would wait for ever
                raise RuntimeError("handler raised StopIteration") from error

        return await settled(await thread.run(call_there))
    except (SystemExit, KeyboardInterrupt) as error:
        raise NonRetryableError(
            f"The handler tried to end the process: {cut_repr(error)}"
        ) from error


async def _stop(task: asyncio.Future[object]) -> None:
    """Cancel a handler and give it a moment; one that goes on is left to itself."""
    task.cancel()
    await asyncio.wait({task}, timeout=CLEAN_UP.total_seconds())
    if task.done() and not task.cancelled():
        task.exception()  # seen, so that asyncio does not complain about it


def _failed(error: BaseException, max_bytes: int) -> FailedAttempt:
    """Describe a failure; its attributes are foreign, and may be anything."""
    name, text = type(error).__name__, spell(error)
    retryable, pause = True, None
    if isinstance(error, ApplicationError):
        name, text = spell(error.type or name), spell(error.message)
        retryable, pause = not error.non_retryable, error.next_retry_delay
    elif isinstance(error, NonRetryableError | HandlerResultError | EmitNotAwaitedError):
        retryable = False
    elif isinstance(error, RetryAfterError):
        pause = error.retry_after
    if not _is_pause(pause):
        text = f"{text} (its retry_after is no timedelta, but {cut_repr(pause)}, and was ignored)"
        pause = None
    message = scrub_text(f"{name}: {text}" if text else name, max_bytes=max_bytes)
    return FailedAttempt(message=message, retryable=retryable, retry_after=pause)


def _is_pause(value: object) -> bool:
    return value is None or isinstance(value, timedelta)
