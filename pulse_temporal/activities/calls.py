"""Call a handler within its time, and turn what comes of it into something to record."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import chain
from typing import TypeAlias, TypeVar

from temporalio import activity

from pulse_temporal.activities.failures import failed_by, timed_out
from pulse_temporal.activities.results import result_of
from pulse_temporal.config import Limits
from pulse_temporal.errors import (
    NonRetryableError,
)
from pulse_temporal.handlers.callables import settled
from pulse_temporal.handlers.context import ContextControl, WorkflowContext
from pulse_temporal.handlers.logs import HOW_NOT_TO_BLOCK, Subject, current_subject
from pulse_temporal.handlers.middleware import Middleware, pass_through
from pulse_temporal.handlers.registry import Action, Condition
from pulse_temporal.handlers.threads import HandlerThread
from pulse_temporal.handlers.tracebacks import frames_of_task, frames_of_thread, stack_of
from pulse_temporal.model.configs import config_reasons
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import WorkflowStepRun
from pulse_temporal.services.runs.watchdog import AtWork
from pulse_temporal.store.attempts import FailedAttempt, Succeeded

CLEAN_UP = timedelta(seconds=2)
"""How long a handler may clean up after it was canceled or its time was over."""


Answer = TypeVar("Answer")

Called: TypeAlias = Succeeded | FailedAttempt


async def call(  # noqa: PLR0913 - all but two are given by name
    handler: Action | Condition,
    ctx: WorkflowContext,
    *,
    middleware: Sequence[Middleware],
    control: ContextControl,
    timeout: timedelta,
    limits: Limits,
    thread: HandlerThread | None,
    at_work: AtWork,
) -> Called:
    """Call a handler; every outcome but cancellation is a value.

    Args:
        handler: The handler.
        ctx: For the handler.
        middleware: Runs round the call, within its time; the first one is the outermost.
        control: What lies behind ``ctx``.
        timeout: Longest time; after it the handler is canceled and the attempt has failed.
        limits: Sizes of result and error.
        thread: Where to call it, and free; None: in the event loop.
        at_work: What the watchdog knows of it.
    """
    schema = handler.config_schema
    if schema is not None and (reasons := config_reasons(schema, ctx.config)):
        refusal = NonRetryableError(f"The config does not fit {handler.name!r}: {reasons}")
        return failed_by(refusal, max_bytes=limits.error_bytes)
    started_at = asyncio.get_running_loop().time()
    calling = _guarded(handler, ctx, thread, at_work.subject, middleware)
    task = asyncio.ensure_future(calling)
    at_work.task = task if thread is None else None
    try:
        is_done = await outlast(task, at_work, timeout=timeout)
    except asyncio.CancelledError:
        # Temporal or the handover cuts the delivery off. The handler sees it in ctx.canceled, and
        # gets a moment to clean up; a thread cannot be stopped at all.
        control.cancel()
        await _stop(task)
        control.drop_emits()
        raise
    took = asyncio.get_running_loop().time() - started_at
    try:
        # A handler that held the event loop may be done by the time anybody can look at the clock.
        # Its time counts all the same: its heartbeats were missing, so it may run elsewhere too.
        if not is_done or (at_work.blocked_for and took > timeout.total_seconds()):
            frames = frames_of_task(task)  # before the cancel, which unwinds them
            if thread is not None:
                frames = chain(frames, frames_of_thread(thread.ident))
            stack = at_work.stack or stack_of(frames)
            control.cancel()
            await _stop(task)
            return timed_out(timeout, stack=stack, why=_blamed(at_work))
        return _outcome_of(task, handler, control, limits)
    finally:
        control.drop_emits()


def _outcome_of(
    task: asyncio.Future[object],
    handler: Action | Condition,
    control: ContextControl,
    limits: Limits,
) -> Called:
    try:
        value = task.result()
        control.check_emits()
        return result_of(handler, value, limits)
    except BaseException as error:  # noqa: BLE001 - handlers raise anything; nothing is awaited here
        return failed_by(error, max_bytes=limits.error_bytes)


async def outlast(
    task: asyncio.Future[Answer], at_work: AtWork, *, timeout: timedelta | None = None
) -> bool:
    """Wait for a task, also when Temporal has given its delivery up meanwhile.

    While the event loop stood still no heartbeat was sent, so that Temporal cancels an activity
    whose result the ledger still takes. Any other cancel passes through.

    Returns:
        Whether the task is done.
    """
    clock = asyncio.get_running_loop().time
    ends_at = None if timeout is None else clock() + timeout.total_seconds()
    while True:
        left = None if ends_at is None else max(ends_at - clock(), 0)
        try:
            done, _ = await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or not (at_work.is_held and _is_given_up()):
                raise
            current.uncancel()
        else:
            return bool(done)


async def see_through(work: Coroutine[object, object, Answer], at_work: AtWork) -> Answer:
    """Do work to its end, also when Temporal has given the delivery up meanwhile.

    Raises:
        CancelledError: For another reason; the work has ended by it too.
    """
    task = asyncio.ensure_future(work)
    try:
        await outlast(task, at_work)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not complain about it
        raise
    return task.result()


def _is_given_up() -> bool:
    """Return whether Temporal cancels because it has heard nothing."""
    details = activity.cancellation_details()
    return details is not None and (details.timed_out or details.not_found)


def _blamed(at_work: AtWork) -> str:
    """Return a sentence for a handler that has blocked the event loop."""
    if not at_work.blocked_for:
        return ""
    return (
        f" The handler blocked the event loop of its worker for more than "
        f"{at_work.blocked_for.total_seconds():.1f} s, in which no other one could run. "
        f"{HOW_NOT_TO_BLOCK}"
    )


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
    middleware: Sequence[Middleware],
) -> object:
    """Keep what would end the process inside the step."""
    current_subject.set(subject)
    try:
        return await pass_through(middleware, ctx, lambda: _call_handler(handler, ctx, thread))
    except (SystemExit, KeyboardInterrupt) as error:
        raise NonRetryableError(
            f"The handler tried to end the process: {cut_repr(error)}"
        ) from error


async def _call_handler(
    handler: Action | Condition, ctx: WorkflowContext, thread: HandlerThread | None
) -> object:
    if thread is None:
        return await settled(handler.handler(ctx))
    context = contextvars.copy_context()  # with what middleware has set

    def call_there() -> object:
        try:
            return context.run(handler.handler, ctx)
        except StopIteration as error:  # no future takes it: its waiter would wait for ever
            raise RuntimeError("handler raised StopIteration") from error

    return await settled(await thread.run(call_there))


def subject_of(handler: Action | Condition, step: WorkflowStepRun) -> Subject:
    """Return what log lines say about a step that is at work."""
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
