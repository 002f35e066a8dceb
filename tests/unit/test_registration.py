"""Handlers and hooks that cannot work are refused when they are registered, not run after run."""

from __future__ import annotations

import functools
import types
from collections.abc import AsyncGenerator, Callable, Generator

import pytest

from pulse_temporal import ConfigurationError, DuplicateHandlerError, Engine, create_engine
from pulse_temporal.handlers.callables import is_async

DSN = "postgresql://nobody@localhost/none"


class OnAClass:
    async def __call__(self, ctx: object) -> None: ...

    def method(self, ctx: object) -> None: ...


class TakesAContext:
    def __init__(self, ctx: object) -> None: ...


def generator(_: object) -> Generator[int]:
    yield 1


async def async_generator(_: object) -> AsyncGenerator[int]:
    yield 1


@types.coroutine
def old_coroutine(_: object) -> Generator[None, None, None]:
    yield


def without_arguments(function: Callable[[object], object]) -> Callable[[], object]:
    @functools.wraps(function)
    def call() -> object:
        return function(None)

    return call


def with_a_database(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def call(*given: object) -> object:
        return function(*given, db=None)

    return call


async def called(_: object) -> None: ...


def no_argument() -> None: ...
def only_a_keyword(*, ctx: object) -> None: ...
def a_second_argument(ctx: object, db: object) -> None: ...
def a_needed_keyword(ctx: object, *, db: object) -> None: ...
def an_optional_argument(ctx: object, db: object = None) -> None: ...
def any_arguments(*given: object) -> None: ...
def not_a_coroutine_function(ctx: object) -> object:
    return called(ctx)


UNFIT: dict[str, tuple[object, str]] = {
    "None": (None, "not a NoneType"),
    "a mapping": ({"a": 1}, "not a dict"),
    "text": ("pay", "not a str"),
    "a class": (TakesAContext, "the class 'TakesAContext'"),
    "a class that is a mapping": (dict, "the class 'dict'"),
    "no argument": (no_argument, "takes no argument"),
    "only a keyword": (only_a_keyword, "takes no argument"),
    "a wrapper without arguments": (without_arguments(called), "takes no argument"),
    "a second argument": (a_second_argument, r"needs 2 arguments \(ctx, db\)"),
    "a needed keyword": (a_needed_keyword, r"needs 2 arguments \(ctx, db\)"),
    "a method of a class": (OnAClass.method, r"needs 2 arguments \(self, ctx\)"),
    "a generator function": (generator, "is a generator function"),
    "an async generator function": (async_generator, "is a generator function"),
    "a partial generator function": (functools.partial(generator), "is a generator function"),
}
FIT: dict[str, object] = {
    "an optional argument": an_optional_argument,
    "any arguments": any_arguments,
    "a bound argument": functools.partial(a_second_argument, db=1),
    "a wrapper that adds an argument": with_a_database(a_second_argument),
    "a callable object": OnAClass(),
    "a bound method": OnAClass().method,
    "a coroutine of a generator": old_coroutine,
    "one written in C": print,
}


@pytest.fixture
def engine() -> Engine:
    return create_engine(DSN)


@pytest.mark.parametrize("kind", ["action", "condition"])
@pytest.mark.parametrize("name", UNFIT)
def test_a_handler_that_cannot_work_is_refused(engine: Engine, kind: str, name: str) -> None:
    handler, says = UNFIT[name]
    register = engine.register_action if kind == "action" else engine.register_condition

    with pytest.raises(ConfigurationError, match=f"{kind.capitalize()} 'pay'.*{says}"):
        register("pay", handler)  # pyright: ignore[reportArgumentType] - mistakes of callers without types


@pytest.mark.parametrize("name", FIT)
def test_a_handler_that_can_work_is_taken(engine: Engine, name: str) -> None:
    engine.register_action("pay", FIT[name])  # pyright: ignore[reportArgumentType] - as loosely typed as an application
    engine.register_condition("paid", FIT[name])  # pyright: ignore[reportArgumentType] - as loosely typed as an application

    assert set(engine.registry.actions) == {"pay"}


def test_a_coroutine_is_refused(engine: Engine) -> None:
    coroutine = called(None)
    with pytest.raises(ConfigurationError, match="the function was called"):
        engine.register_action("pay", coroutine)  # pyright: ignore[reportArgumentType] - the mistake
    coroutine.close()


def test_a_decorator_without_parentheses_says_what_is_missing(engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match=r'@engine\.action\("send_mail"\)'):
        engine.action(called)  # pyright: ignore[reportArgumentType] - the mistake
    with pytest.raises(ConfigurationError, match=r'@engine\.condition\("send_mail"\)'):
        engine.condition(called)  # pyright: ignore[reportArgumentType] - the mistake


def test_messages_have_their_articles(engine: Engine) -> None:
    engine.register_action("pay", called)
    with pytest.raises(DuplicateHandlerError, match=r"^Action 'pay' is registered already"):
        engine.register_action("pay", lambda _: None)
    with pytest.raises(ConfigurationError, match="cannot name an action"):
        engine.register_action("a\0", lambda _: None)


def test_a_hook_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"on_step_complete.*takes no argument"):
        create_engine(DSN, on_step_complete=lambda: None)  # pyright: ignore[reportArgumentType] - the mistake
    with pytest.raises(ConfigurationError, match=r"on_run_complete.*not a dict"):
        create_engine(DSN, on_run_complete={})  # pyright: ignore[reportArgumentType] - the mistake


def test_async_handlers_are_known_through_partials_and_objects() -> None:
    assert is_async(functools.partial(OnAClass()))
    assert is_async(functools.partial(functools.partial(called)))
    assert not is_async(OnAClass().method)
    assert not is_async(not_a_coroutine_function)


def test_a_signal_type_may_be_registered_by_either_name() -> None:
    engine = create_engine(DSN)
    engine.register_signal("order.paid", source="shop", resource_type="order")
    engine.register_trigger("order.paid", source="shop", resource_type="order")
    assert engine.registry.triggers["order.paid"].source == "shop"
    with pytest.raises(DuplicateHandlerError, match="is registered already"):
        engine.register_signal("order.paid", source="post")
