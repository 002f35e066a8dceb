"""Check that callables can be handlers and hooks, and await what they return."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeGuard

from pulse_temporal.errors import ConfigurationError
from pulse_temporal.model.plain import article

MOST_AWAITS = 8
"""Bound of awaitables that return awaitables: one may return itself, and never come to an end."""


def check_callable(what: str, call: object, *, given: str) -> None:
    """Check at its registration that a handler or hook can work, not with every run.

    Args:
        what: What it is registered as, for the message, such as ``Action 'pay'``.
        call: The handler or hook.
        given: Name of the type of its one argument.

    Raises:
        ConfigurationError: It is not callable, cannot be called with one argument, is a
            generator function, or a class whose instances cannot be an answer.
    """
    flaw = _flaw(call, given)
    if flaw:
        raise ConfigurationError(f"{what} cannot be registered: {flaw}")


def is_async(call: object) -> bool:
    """Return whether a call returns a coroutine; looks into partials and callable objects."""
    function = _function_of(call)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def is_awaitable(value: object) -> TypeGuard[Awaitable[object]]:
    """Return whether a value can be awaited, including old generator-based coroutines."""
    return inspect.isawaitable(value)


async def settled(answer: object) -> object:
    """Return an answer that is no awaitable: await it, and up to seven that come out of it."""
    for _ in range(MOST_AWAITS):
        if not is_awaitable(answer):
            break
        answer = await answer
    return answer


def _flaw(call: object, given: str) -> str | None:
    """Return why a callable cannot work; None when nothing speaks against it."""
    if is_awaitable(call):
        return f"it is {article(call)}, because the function was called; give the function itself."
    if not callable(call):
        return f"it must be a function that takes the {given}, not {article(call)}."
    # A class is callable, but only an instance that can be awaited leads to an answer.
    if isinstance(call, type) and not hasattr(call, "__await__"):
        return (
            f"it is the class {call.__name__!r}, and an instance is no answer; give an instance "
            "that is callable, or one of its methods."
        )
    if _is_generator(call):
        return (
            "it is a generator function: calling it runs nothing. It must return its answer "
            "instead of yielding."
        )
    return _misfit(call, given)


def _misfit(call: Callable[..., object], given: str) -> str | None:
    """Return why a callable cannot be called with one argument; None when it can."""
    try:
        # Not the signature of a wrapped function: a decorator may add the missing arguments.
        signature = inspect.signature(call, follow_wrapped=False)
    except (TypeError, ValueError):  # written in C, or its own code fails
        return None
    try:
        signature.bind(given)
    except TypeError:
        pass
    else:
        return None
    kinds = inspect.Parameter
    names = signature.parameters.values()
    if not any(
        each.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD) for each in names
    ):
        return f"it takes no argument; it must take one, the {given}."
    needed = [each.name for each in names if each.default is kinds.empty]
    needed = [name for name in needed if signature.parameters[name].kind is not kinds.VAR_KEYWORD]
    return (
        f"it needs {len(needed)} arguments ({', '.join(needed)}) and is called with one, the "
        f"{given}. Give the others defaults, or bind them with functools.partial."
    )


def _is_generator(call: object) -> bool:
    """Return whether a call only makes a generator, which nobody would run."""
    function = _function_of(call)
    code = getattr(function, "__code__", None)
    is_old_coroutine = bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)
    return inspect.isasyncgenfunction(function) or (
        inspect.isgeneratorfunction(function) and not is_old_coroutine
    )


def _function_of(call: object) -> object:
    """Return the function that runs when something is called."""
    while isinstance(call, functools.partial):
        call = call.func
    if isinstance(call, type) or inspect.isroutine(call):
        return call
    inner = getattr(call, "__call__", None)  # noqa: B004 - an object may be its own handler
    return inner if inspect.isroutine(inner) else call
