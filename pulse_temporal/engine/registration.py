"""The engine's methods that tell it about signals and handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, Unpack

from pydantic import BaseModel, ValidationError

from pulse_temporal.engine.operations import Methods
from pulse_temporal.errors import ConfigurationError
from pulse_temporal.handlers.middleware import Middleware
from pulse_temporal.handlers.registry import ActionHandler, ConditionHandler, Registry, check_name
from pulse_temporal.model.catalogue import HandlerAbout, HandlerAboutFields
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.signals import TriggerRegistration

AnyAction = TypeVar("AnyAction", bound=ActionHandler)
AnyCondition = TypeVar("AnyCondition", bound=ConditionHandler)


class Registration(Methods):
    """Register before ``start``; what comes later is known to workers a few seconds later.

    Attributes:
        registry: What is registered in this process.
    """

    registry: Registry

    def register_signal(
        self,
        type_: str,
        *,
        source: str,
        resource_type: str | None = None,
        payload_schema: type[BaseModel] | None = None,
        title: str | None = None,
        description: str | None = None,
    ) -> None:
        """Say what signals of a type look like; others are refused at emit.

        Args:
            type_: For example ``heartbeat.missed``.
            source: The only source accepted.
            resource_type: When given, the only resource type accepted.
            payload_schema: When given, a pydantic model that payloads must fit.
            title: What people call it, for the catalogue.
            description: When it is sent, for the catalogue.

        Raises:
            DuplicateHandlerError: The type is registered with other rules.
            ConfigurationError: The type or the source cannot be used as a name.
        """
        try:
            registration = TriggerRegistration(
                source=source,
                resource_type=resource_type,
                payload_schema=payload_schema,
                title=title,
                description=description,
            )
        except ValidationError as error:
            problems = error.errors(include_input=False)
        else:
            self.registry.add_trigger(type_, registration)
            return
        reasons = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems)
        raise ConfigurationError(f"Signal type {type_!r} cannot be registered: {reasons}")

    def register_trigger(
        self,
        type_: str,
        *,
        source: str,
        resource_type: str | None = None,
        payload_schema: type[BaseModel] | None = None,
        title: str | None = None,
        description: str | None = None,
    ) -> None:
        """Register a signal type: ``register_signal``, under its name in the TypeScript Pulse."""
        self.register_signal(
            type_,
            source=source,
            resource_type=resource_type,
            payload_schema=payload_schema,
            title=title,
            description=description,
        )

    def register_action(
        self,
        name: str,
        handler: ActionHandler,
        *,
        replay_safe: bool = False,
        transactional: bool = False,
        queued: bool = False,
        config_schema: type[BaseModel] | None = None,
        **about: Unpack[HandlerAboutFields],
    ) -> None:
        """Register an action; functions that are not async run in a thread.

        The handler takes a ``WorkflowContext`` and returns a mapping, an ``ActionResult`` or
        None. It runs at least once; ``ctx.idempotency_key`` is the same every time.

        Args:
            name: What steps call it.
            handler: The function.
            replay_safe: It may run again when its signal is replayed.
            transactional: It works on ``ctx.connection``, inside the transaction that records
                the step: its effects there happen exactly once. Needs an async handler.
            queued: Its steps always go through the task queue. By default a step that declares
                a ``timeoutMs`` of at most ``local_activity_limit`` runs inside the worker that
                has the run, where it is not told of a cancel.
            config_schema: When given, a pydantic model that the config of its steps must fit: when
                a definition is stored in a process that has registered it, and before each call.
                A config that does not fit fails the step at once, without another attempt.
            about: For the catalogue, which editors offer handlers from: ``title``,
                ``description``, ``group``, ``result_schema`` (a pydantic model of what it
                returns), and ``audience``, where ``"operators"`` keeps it from tenants.

        Raises:
            DuplicateHandlerError: Another action has the name.
            ConfigurationError: The name, the handler or the combination cannot be used, or the
                handler is registered already, with other options.
        """
        self.registry.add_action(
            name,
            handler,
            replay_safe=replay_safe,
            transactional=transactional,
            queued=queued,
            config_schema=config_schema,
            about=_said("Action", name, about),
        )

    def register_condition(
        self,
        name: str,
        handler: ConditionHandler,
        *,
        queued: bool = False,
        config_schema: type[BaseModel] | None = None,
        **about: Unpack[HandlerAboutFields],
    ) -> None:
        """Register a condition: it takes a ``WorkflowContext`` and returns True or False.

        Args:
            name: What steps ask.
            handler: The function; it may be asked more than once, so it should change nothing.
            queued: Its steps always go through the task queue. By default one that declares no
                ``timeoutMs`` is first asked inside the worker that has the run; when that takes
                longer than ``local_activity_limit``, it is asked again, through the queue.
            config_schema: As of ``register_action``.
            about: As of ``register_action``.

        Raises:
            DuplicateHandlerError: Another condition has the name.
            ConfigurationError: The name or the handler cannot be used, or the handler is
                registered already, with other options.
        """
        self.registry.add_condition(
            name,
            handler,
            queued=queued,
            config_schema=config_schema,
            about=_said("Condition", name, about),
        )

    def action(
        self,
        name: str,
        *,
        replay_safe: bool = False,
        transactional: bool = False,
        queued: bool = False,
        config_schema: type[BaseModel] | None = None,
        **about: Unpack[HandlerAboutFields],
    ) -> Callable[[AnyAction], AnyAction]:
        """Register the decorated function with ``register_action``."""
        check_name("action", name)

        def decorate(handler: AnyAction) -> AnyAction:
            self.register_action(
                name,
                handler,
                replay_safe=replay_safe,
                transactional=transactional,
                queued=queued,
                config_schema=config_schema,
                **about,
            )
            return handler

        return decorate

    def condition(
        self,
        name: str,
        *,
        queued: bool = False,
        config_schema: type[BaseModel] | None = None,
        **about: Unpack[HandlerAboutFields],
    ) -> Callable[[AnyCondition], AnyCondition]:
        """Register the decorated function with ``register_condition``."""
        check_name("condition", name)

        def decorate(handler: AnyCondition) -> AnyCondition:
            self.register_condition(
                name, handler, queued=queued, config_schema=config_schema, **about
            )
            return handler

        return decorate

    def add_middleware(self, middleware: Middleware) -> None:
        """Put an async function ``(ctx, call_next)`` round every call of a handler.

        For what the function that registers an application's handlers brings along, where the
        engine is made elsewhere: ``pulse worker`` makes it. It runs inside of what was given or
        added before; docs/how-to/middleware.md says what it may do.

        Args:
            middleware: The function, or an object that can be called like one.

        Raises:
            ConfigurationError: It cannot work, or the engine is started: some calls of handlers
                would go through it and others not.
        """
        if self._parts.process.loop is not None:
            raise ConfigurationError(
                "The engine is started; middleware is added before that, for example where the "
                "handlers are registered."
            )
        self.registry.add_middleware(middleware)


def _said(what: str, name: object, about: HandlerAboutFields) -> HandlerAbout:
    """Return what is said of a handler.

    Raises:
        ConfigurationError: A field is unknown or wrong.
    """
    try:
        return HandlerAbout.model_validate(about)
    except ValidationError as error:
        problems = error.errors(include_input=False)
    reasons = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems)
    raise ConfigurationError(f"{what} {cut_repr(name)[:100]} cannot be registered: {reasons}.")
