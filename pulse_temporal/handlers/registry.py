"""The signal types, actions and conditions that this process has registered."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from pydantic import BaseModel

from pulse_temporal.contract import RESERVED_PREFIX
from pulse_temporal.errors import ConfigurationError, DuplicateHandlerError
from pulse_temporal.handlers.callables import check_callable, is_async
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.handlers.middleware import Middleware, checked_middleware
from pulse_temporal.model.catalogue import NOTHING_SAID, HandlerAbout
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import ActionResult
from pulse_temporal.model.signals import TriggerRegistration

ActionReturn: TypeAlias = ActionResult | Mapping[str, object] | None
ActionHandler: TypeAlias = Callable[[WorkflowContext], Awaitable[ActionReturn] | ActionReturn]
ConditionHandler: TypeAlias = Callable[[WorkflowContext], Awaitable[bool] | bool]

HANDLER_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}")


@dataclass(frozen=True, slots=True)
class Action:
    """A registered action.

    Attributes:
        replay_safe: It also runs in replays.
        transactional: It gets ``ctx.connection``; what it writes commits with the step's record.
        queued: Its steps always go through the task queue, even with a short timeout.
        is_async: It is a coroutine function; other handlers run in a thread.
        config_schema: A model that the config of its steps must fit.
        about: What the catalogue says of it.
    """

    name: str
    handler: ActionHandler
    replay_safe: bool
    transactional: bool
    queued: bool
    is_async: bool
    config_schema: type[BaseModel] | None = None
    about: HandlerAbout = NOTHING_SAID

    @property
    def may_be_local(self) -> bool:
        """Whether a delivery may be a local activity, in the worker that has the run."""
        return not (self.queued or self.transactional)


@dataclass(frozen=True, slots=True)
class Condition:
    """A registered condition; what it has in common with actions is as for them."""

    name: str
    handler: ConditionHandler
    queued: bool
    is_async: bool
    config_schema: type[BaseModel] | None = None
    about: HandlerAbout = NOTHING_SAID

    @property
    def may_be_local(self) -> bool:
        """Whether a delivery may be a local activity, in the worker that has the run."""
        return not self.queued


class Registry:
    """What is registered by name; a name is taken once for each kind.

    To register the same handler under its name again, with the same options, is allowed.

    Attributes:
        middleware: Runs around every call of a handler; the first one is the outermost.
        revision: Rises with each registration.
    """

    def __init__(self, middleware: Sequence[Middleware] = ()) -> None:
        self.middleware: tuple[Middleware, ...] = checked_middleware(middleware)
        self.triggers: dict[str, TriggerRegistration] = {}
        self.actions: dict[str, Action] = {}
        self.conditions: dict[str, Condition] = {}
        self.revision = 0

    def add_middleware(self, middleware: Middleware) -> None:
        """Let it run inside of the middleware that is there.

        Raises:
            ConfigurationError: It cannot work.
        """
        self.middleware += checked_middleware([middleware], given_to="add_middleware")

    def add_trigger(self, type_: str, registration: TriggerRegistration) -> None:
        """Register a signal type.

        Raises:
            DuplicateHandlerError: The type is already registered, with other rules.
            ConfigurationError: The name cannot be used.
        """
        known = self.triggers.get(type_)
        if known is not None and known != registration:
            raise DuplicateHandlerError(f"Signal type {type_!r} is registered already.")
        check_name("signal type", type_)
        self.triggers[type_] = registration
        self.revision += 1

    def add_action(  # noqa: PLR0913 - all but two are given by name
        self,
        name: str,
        handler: ActionHandler,
        *,
        replay_safe: bool,
        transactional: bool,
        queued: bool,
        config_schema: type[BaseModel] | None = None,
        about: HandlerAbout = NOTHING_SAID,
    ) -> None:
        """Register an action.

        Raises:
            DuplicateHandlerError: Another handler has the name.
            ConfigurationError: The name or the handler cannot be used, a sync handler is
                transactional, or it is registered with other options.
        """
        _check("action", name, handler, known=self.actions)
        runs_in_loop = is_async(handler)
        if transactional and not runs_in_loop:
            raise ConfigurationError(
                f"Action {name!r} is transactional, so its handler must be 'async def'; a "
                "decorator around it must give a coroutine function too."
            )
        _check_schema("action", name, config_schema)
        action = Action(
            name, handler, replay_safe, transactional, queued, runs_in_loop, config_schema, about
        )
        _check_same("action", action, known=self.actions)
        self.actions[name] = action
        self.revision += 1

    def add_condition(
        self,
        name: str,
        handler: ConditionHandler,
        *,
        queued: bool,
        config_schema: type[BaseModel] | None = None,
        about: HandlerAbout = NOTHING_SAID,
    ) -> None:
        """Register a condition.

        Raises:
            DuplicateHandlerError: Another handler has the name.
            ConfigurationError: The name or the handler cannot be used, or it is registered with
                other options.
        """
        _check("condition", name, handler, known=self.conditions)
        _check_schema("condition", name, config_schema)
        runs_in_loop = is_async(handler)
        condition = Condition(name, handler, queued, runs_in_loop, config_schema, about)
        _check_same("condition", condition, known=self.conditions)
        self.conditions[name] = condition
        self.revision += 1

    def find(self, kind: Literal["action", "condition"], name: str) -> Action | Condition | None:
        """Return a handler; None when this process has not registered it."""
        return self.actions.get(name) if kind == "action" else self.conditions.get(name)

    def suggestion(self, type_: str) -> str:
        """Return a sentence with the signal type most like this one, after a space; or ``""``."""
        close = difflib.get_close_matches(type_, self.triggers, n=1)
        return f' Did you mean "{close[0]}"?' if close else ""


def check_name(what: str, name: object) -> None:
    """Check that a value can be the name of a signal type, an action or a condition.

    Raises:
        ConfigurationError: It cannot; for example, it is the function of a decorator that was
            written without parentheses.
    """
    noun = f"{'an' if what == 'action' else 'a'} {what}"
    if callable(name) and what != "signal type":
        raise ConfigurationError(
            f'A name must come before the function, as in @engine.{what}("send_mail"), '
            f"to register {noun}."
        )
    if not isinstance(name, str) or not HANDLER_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{cut_repr(name)[:100]} cannot name {noun}: 1 to 200 characters, no control "
            "characters."
        )
    if name.startswith(RESERVED_PREFIX):
        raise ConfigurationError(
            f"{name!r} cannot name {noun}: names that begin with "
            f"{RESERVED_PREFIX!r} belong to Pulse."
        )


def _check_schema(what: str, name: str, schema: object) -> None:
    """Raise ConfigurationError for what is no model of a config."""
    shown: object = schema
    if schema is not None and not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        raise ConfigurationError(
            f"config_schema of {what} {name!r} must be a pydantic model class, not "
            f"{cut_repr(shown)[:100]}."
        )


def _check_same(
    what: str, handler: Action | Condition, *, known: Mapping[str, Action | Condition]
) -> None:
    """Raise ConfigurationError where a handler is registered already, with other options."""
    present = known.get(handler.name)
    if present is None or present == handler:
        return
    differ = [
        field.name
        for field in fields(handler)
        if field.name != "about" and getattr(present, field.name) != getattr(handler, field.name)
    ]
    before, after = present.about, handler.about
    differ += [
        name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)
    ]
    raise ConfigurationError(
        f"{what.capitalize()} {handler.name!r} is registered already with the same handler, and "
        f"with another {', another '.join(differ)}. Register it once, or with the same options."
    )


def _check(
    what: str, name: str, handler: object, *, known: Mapping[str, Action | Condition]
) -> None:
    """Raise for a name that cannot be used or is taken, and for a handler that cannot work."""
    check_name(what, name)
    check_callable(f"{what.capitalize()} {name!r}", handler, given="WorkflowContext")
    present = known.get(name)
    if present is not None and present.handler is not handler:
        raise DuplicateHandlerError(
            f"{what.capitalize()} {name!r} is registered already, with another handler."
        )
