"""Methods that are written once: awaited on an engine, and waiting on ``engine.blocking``.

A group of them, such as ``RunMethods``, is inherited twice. On the class that is also
``Awaited`` they are what was written, and on the one that is ``Blocking`` they have the same
parameters and give the answer itself. So neither can have a method that the other lacks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from types import MethodType
from typing import Concatenate, Generic, ParamSpec, TypeVar, overload

from pulse_temporal.engine.scope import TenantScope
from pulse_temporal.engine.wiring import Parts

Owner = TypeVar("Owner")
Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Item = TypeVar("Item")

END = object()


class Methods:
    """Base of all groups of methods.

    Args:
        parts: What they work with.
        scope: Whom they may ask about.
    """

    def __init__(self, parts: Parts, scope: TenantScope) -> None:
        self._parts = parts
        self._scope = scope


class Awaited:
    """Marks a class whose operations are awaited."""


class Blocking(Methods):
    """Marks a class whose operations wait for their answer; threads may share an instance."""


class operation(Generic[Owner, Given, Answer]):  # noqa: N801 - stands as a decorator
    """Makes a coroutine function a method of both kinds of classes.

    The body must not call other operations of its own object, as it runs on both kinds; the
    type checker refuses that.
    """

    def __init__(
        self, function: Callable[Concatenate[Owner, Given], Coroutine[object, object, Answer]]
    ) -> None:
        @wraps(function)
        def wait(self: Blocking, *arguments: object, **options: object) -> object:
            home = self._parts.home  # pyright: ignore[reportPrivateUsage] - it is a method
            home.refuse(options.get("connection"))
            return home.call(lambda: asynchronous(self, *arguments, **options))

        asynchronous: Callable[..., Awaitable[object]] = function
        self._asynchronous: Callable[..., object] = function
        self._waiting: Callable[..., object] = wait

    @overload
    def __get__(
        self, instance: Awaited, owner: type[object]
    ) -> Callable[Given, Coroutine[object, object, Answer]]: ...
    @overload
    def __get__(self, instance: Blocking, owner: type[object]) -> Callable[Given, Answer]: ...
    @overload
    def __get__(self, instance: None, owner: type[object]) -> Callable[..., object]: ...
    def __get__(self, instance: object, owner: type[object]) -> Callable[..., object]:
        """Return the method of this kind of class; asked on the class, its function."""
        function = self._waiting if issubclass(owner, Blocking) else self._asynchronous
        return function if instance is None else MethodType(function, instance)


class iteration(Generic[Owner, Given, Item]):  # noqa: N801 - stands as a decorator
    """Makes an async generator function a method of both kinds: ``async for``, or ``for``."""

    def __init__(
        self, function: Callable[Concatenate[Owner, Given], AsyncGenerator[Item]]
    ) -> None:
        @wraps(function)
        def each(self: Blocking, *arguments: object, **options: object) -> Iterator[object]:
            home = self._parts.home  # pyright: ignore[reportPrivateUsage] - it is a method
            items = asynchronous(self, *arguments, **options)
            while (item := home.call(lambda: anext(items, END))) is not END:
                yield item

        asynchronous: Callable[..., AsyncGenerator[object]] = function
        self._asynchronous: Callable[..., object] = function
        self._waiting: Callable[..., object] = each

    @overload
    def __get__(
        self, instance: Awaited, owner: type[object]
    ) -> Callable[Given, AsyncGenerator[Item]]: ...
    @overload
    def __get__(
        self, instance: Blocking, owner: type[object]
    ) -> Callable[Given, Iterator[Item]]: ...
    @overload
    def __get__(self, instance: None, owner: type[object]) -> Callable[..., object]: ...
    def __get__(self, instance: object, owner: type[object]) -> Callable[..., object]:
        """Return the method of this kind of class; asked on the class, its function."""
        function = self._waiting if issubclass(owner, Blocking) else self._asynchronous
        return function if instance is None else MethodType(function, instance)
