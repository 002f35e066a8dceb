"""Middleware: code of the application that runs around every call of a handler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Protocol, TypeAlias

from pulse_temporal.errors import ConfigurationError, NonRetryableError
from pulse_temporal.handlers.callables import is_async
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.model.plain import article, is_list

CallNext: TypeAlias = Callable[[], Awaitable[object]]
"""Calls what lies inside a middleware: the next one, or for the innermost the handler."""


class Middleware(Protocol):
    """Runs around every call of an action or a condition, in the worker's event loop.

    ```python
    async def timed(ctx, call_next):
        started = time.perf_counter()
        try:
            return await call_next()
        finally:
            print(ctx.step.step_name, time.perf_counter() - started)
    ```
    """

    async def __call__(self, ctx: WorkflowContext, call_next: CallNext, /) -> object:
        """Run before and after ``call_next()``, which may be awaited at most once.

        Args:
            ctx: The context that the handler is given.
            call_next: Returns what the handler returns, and raises what it raises.

        Returns:
            An answer to use instead of the handler's; None for what ``call_next`` returned or
            raised.
        """
        ...


def checked_middleware(
    given: Sequence[Middleware], *, given_to: str = "handler_middleware"
) -> tuple[Middleware, ...]:
    """Return the middleware that an engine was given, the outermost first.

    Args:
        given: What may be middleware.
        given_to: The argument or method, for the error.

    Raises:
        ConfigurationError: It is not a list of async callables that take two arguments.
    """
    listed: object = given
    if not is_list(listed):
        raise ConfigurationError(
            f"{given_to} must be a list of async functions, not {article(listed)}."
        )
    for flaw in map(_flaw, listed):
        if flaw:
            raise ConfigurationError(f"{given_to}: {flaw}")
    return tuple(given)


async def pass_through(
    middleware: Sequence[Middleware],
    ctx: WorkflowContext,
    call_handler: Callable[[], Coroutine[object, object, object]],
) -> object:
    """Call a handler with all middleware around it, the first one outermost."""
    inner = call_handler
    for each in reversed(middleware):
        inner = functools.partial(_pass_one, each, ctx, inner)
    return await inner()


async def _pass_one(
    middleware: Middleware,
    ctx: WorkflowContext,
    inner: Callable[[], Coroutine[object, object, object]],
) -> object:
    """Call one middleware so that no mistake in it turns a failure into a success.

    When it returns None, what came from inside counts. So one that forgets its ``return``, or
    that logs a failure and goes on, changes nothing
    (``tests/unit/test_middleware.py::a_failure_that_is_swallowed_stays_one``).
    """
    inside = _Inside(_name_of(middleware), inner)
    try:
        given = await middleware(ctx, inside.call_next)
        inside.check(answered=given is not None)
        return await inside.outcome() if given is None else given
    finally:
        inside.close()


class _Inside:
    """What lies inside one middleware: its ``call_next``, and how that call ended."""

    def __init__(self, name: str, inner: Callable[[], Coroutine[object, object, object]]) -> None:
        self._name = name
        self._inner = inner
        self._calling: Coroutine[object, object, object] | None = None
        self._is_over = False
        self._answer: object = None
        self._error: BaseException | None = None

    def call_next(self) -> Coroutine[object, object, object]:
        """Return the coroutine of the inner call.

        Not async itself: then a call without ``await`` would do nothing, and go unnoticed.
        """
        if self._calling is not None:
            # Kept as what came from inside: it must count even if the middleware swallows it.
            self._error = self._mistake("called call_next() twice; retries are the step's policy")
            raise self._error
        self._calling = self._call()
        return self._calling

    def check(self, *, answered: bool) -> None:
        """Check what the middleware has done; ``answered``: it returned something but None.

        Raises:
            NonRetryableError: It has neither called the handler nor answered instead, or it has
                returned while the handler is still at work.
        """
        if self._calling is None and not answered:
            raise self._mistake("returned None without call_next(); return what stands for it")
        if self._calling is not None and not self._is_over:
            raise self._mistake("returned before its call_next() was over; await it")

    async def outcome(self) -> object:
        """Return or raise what came from inside."""
        if self._error is not None:
            raise self._error
        return self._answer

    def close(self) -> None:
        """Close a call that was never awaited: the attempt fails, so Python need not warn too."""
        calling = self._calling
        if calling is not None and inspect.getcoroutinestate(calling) == inspect.CORO_CREATED:
            calling.close()

    async def _call(self) -> object:
        try:
            self._answer = await self._inner()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._is_over = True
        return self._answer

    def _mistake(self, what: str) -> NonRetryableError:
        return NonRetryableError(f"Handler middleware {self._name} {what}.")


def _flaw(given: object) -> str | None:
    """Return why an object cannot be a middleware; None when nothing speaks against it."""
    wanted = "give async functions that take a context and call_next"
    if isinstance(given, type):
        return f"{given.__name__!r} is a class; give an instance of it."
    if not callable(given) or not is_async(given):
        return f"{_name_of(given)} is not async; {wanted}."
    try:
        inspect.signature(given).bind("ctx", "call_next")
    except TypeError:
        return f"{_name_of(given)} cannot be called with two arguments; {wanted}."
    except ValueError:  # has no signature that could be read
        return None
    return None


def _name_of(middleware: object) -> str:
    name: object = getattr(middleware, "__qualname__", None)
    return repr(name if isinstance(name, str) else type(middleware).__qualname__)
