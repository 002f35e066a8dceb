"""Call a handler within its time, and turn what comes of it into something to record."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias

from temporalio import activity

from pulse_temporal.activities.failures import failed_by, timed_out
from pulse_temporal.activities.results import result_of
from pulse_temporal.config import Limits
from pulse_temporal.errors import (
    NonRetryableError,
)
from pulse_temporal.handlers.callables import settled
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.handlers.logs import Subject, current_subject
from pulse_temporal.handlers.registry import Action, Condition
from pulse_temporal.handlers.threads import HandlerThread
from pulse_temporal.handlers.tracebacks import frames_of_task, frames_of_thread, stack_of
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import WorkflowStepRun
from pulse_temporal.store.steps import FailedAttempt, Succeeded

CLEAN_UP = timedelta(seconds=2)
"""How long a handler may clean up after it was canceled or its time was over."""


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
    task = asyncio.ensure_future(_guarded(handler, ctx, thread, subject_of(handler, ctx.step)))
    try:
        done, _ = await asyncio.wait({task}, timeout=bound.total_seconds())
    except asyncio.CancelledError:
        ctx.cancel()
        await _stop(task)
        raise
    if not done:
        frames = frames_of_task(task) if thread is None else frames_of_thread(thread.ident)
        stack = stack_of(frames)
        ctx.cancel()
        await _stop(task)
        return timed_out(bound, stack=stack)
    try:
        value = task.result()
        ctx.check_emits()
        return result_of(handler, value, limits)
    except BaseException as error:  # noqa: BLE001 - handlers raise anything; nothing is awaited here
        return failed_by(error, max_bytes=limits.error_bytes)


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
    handler: Action | Condition,
    ctx: WorkflowContext,
    thread: HandlerThread | None,
    subject: Subject,
) -> object:
    """Keep what would end the process inside the step."""
    current_subject.set(subject)
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


def subject_of(handler: Action | Condition, step: WorkflowStepRun) -> Subject:
    """Give what log lines say about a step that is at work."""
    kind = "action" if isinstance(handler, Action) else "condition"
    return Subject(
        tenant_id=step.tenant_id,
        run_id=step.run_id,
        path=step.path,
        step_name=step.step_name,
        what=f"{kind} {handler.name!r}",
        attempt=step.attempt,
    )


async def _stop(task: asyncio.Future[object]) -> None:
    """Cancel a handler and give it a moment; one that goes on is left to itself."""
    task.cancel()
    await asyncio.wait({task}, timeout=CLEAN_UP.total_seconds())
    if task.done() and not task.cancelled():
        task.exception()  # seen, so that asyncio does not complain about it
