"""Turn what a handler returned into what is recorded, or into the error that it stands for."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

from pulse_temporal.config import Limits
from pulse_temporal.errors import ActionFailedError, HandlerResultError, JsonValueError
from pulse_temporal.handlers.registry import Action, Condition
from pulse_temporal.model.canonical import canonical_object
from pulse_temporal.model.plain import is_mapping, spell
from pulse_temporal.model.runs import ActionResult
from pulse_temporal.store.attempts import Succeeded

TYPESCRIPT_RESULT = frozenset({"success", "data", "error"})
"""The fields of a result of the TypeScript Pulse; ``success`` is always there."""


def result_of(handler: Action | Condition, value: object, limits: Limits) -> Succeeded:
    """Return what a handler returned in the form in which it is recorded.

    Raises:
        HandlerResultError: It is nothing that can be stored.
        ApplicationError: The handler reported that it failed.
    """
    reported = _reported(value)
    if reported is not None:
        if not reported.success:
            raise ApplicationError(
                spell(reported.error or "success is False"),
                type=ActionFailedError.__name__,
                non_retryable=not reported.retryable,
                next_retry_delay=reported.retry_after,
            )
        value = reported.data
    if isinstance(handler, Condition):
        return _answer(handler, value)
    return Succeeded(_data(handler, value, limits))


def _answer(condition: Condition, value: object) -> Succeeded:
    if not isinstance(value, bool):
        raise HandlerResultError(
            f"Condition {condition.name!r} must return True or False, not {_kind(value)}."
        )
    return Succeeded('{"value":true}' if value else '{"value":false}', answer=value)


def _data(action: Action, value: object, limits: Limits) -> str | None:
    if value is None:
        return None
    if not isinstance(value, BaseModel) and not is_mapping(value):
        raise HandlerResultError(
            f"Action {action.name!r} must return a mapping, an ActionResult or None, "
            f"not {_kind(value)}."
        )
    try:
        return canonical_object(value, where="result", max_bytes=limits.result_bytes)
    except JsonValueError as error:
        raise HandlerResultError(str(error)) from error


def _reported(value: object) -> ActionResult | None:
    """Return what reports success or failure: an ActionResult, or the TypeScript Pulse's shape.

    Code that was translated returns ``{"success": false, "error": "..."}``; stored as data, a
    failure would be a success.
    """
    if isinstance(value, ActionResult):
        return value
    fields = _fields(value)
    if not isinstance(fields.get("success"), bool) or not fields.keys() <= TYPESCRIPT_RESULT:
        return None
    return ActionResult.model_construct(None, **fields)


def _fields(value: object) -> Mapping[str, object]:
    """Return the fields of a mapping or a model; none when it cannot have the shape."""
    if isinstance(value, BaseModel):
        if type(value).model_fields.keys() - TYPESCRIPT_RESULT:
            return {}
        return {name: getattr(value, name) for name in type(value).model_fields} | (
            value.model_extra or {}
        )
    if not is_mapping(value) or len(value) > len(TYPESCRIPT_RESULT):
        return {}
    return {spell(name): inner for name, inner in value.items()}


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__!r}"
