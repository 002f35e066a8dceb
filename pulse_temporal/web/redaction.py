"""What is taken out of answers before they leave: tenants' values, by whoever may see them.

Pages, streams and the API all pass what they show through ``Redaction.of``, once, as it comes
from the engine. So a template or a route cannot forget it for a field.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Mapping
from copy import deepcopy
from typing import Literal, TypeVar

from pydantic import BaseModel, JsonValue
from typing_extensions import TypeIs

from pulse_temporal.model.diff import FieldDifference
from pulse_temporal.model.runs import ExecutionLog
from pulse_temporal.model.views import Notice
from pulse_temporal.web.guard.principal import Principal

log = logging.getLogger(__name__)

ValueKind = Literal["payload", "context", "result", "config", "log", "error"]
"""What a value is: of a signal, of a run or a step, of a definition, of a log line, or the text
of an error with its traceback."""

Redact = Callable[[Principal, ValueKind, JsonValue], JsonValue]
"""Returns what somebody is shown instead of a value."""

Shown = TypeVar("Shown")

HIDDEN = "•••"

KINDS: Mapping[str, ValueKind] = {
    "payload": "payload",
    "context": "context",
    "result": "result",
    "config": "config",
    "data": "log",
    "error": "error",
    "error_message": "error",
    "errorMessage": "error",
    "sample_error": "error",
    "traceback": "error",
}
"""Fields of models and of stored JSON that hold what a tenant or its code has said."""


class Redaction:
    """Takes out of values what a principal may not see.

    Args:
        redact: The application's own rule, for whoever may see values at all; None: all of it.
    """

    def __init__(self, redact: Redact | None = None) -> None:
        self._redact = redact

    def key(self, principal: Principal) -> Hashable:
        """Return what principals share to whom all values look alike."""
        if self._redact is None:
            return principal.may("payloads:read")
        return principal.id, principal.name, principal.tenants, principal.scopes

    def of(self, principal: Principal, shown: Shown) -> Shown:
        """Return a model, or a list of them, with the values in it as they are shown.

        Types stay: of an object becomes an object, of a text a text.
        """
        if self._redact is None and principal.may("payloads:read"):
            return shown
        walked = self._walk(principal, shown)
        if not isinstance(walked, type(shown)):
            raise TypeError("A value has become one of another type.")
        return walked

    def value(self, principal: Principal, kind: ValueKind, value: JsonValue) -> JsonValue:
        """Return one value as it is shown; objects stay objects, and texts texts."""
        if value is None:
            return value
        if not principal.may("payloads:read"):
            return hidden(value)
        return self._ruled(principal, kind, value)

    def text(self, principal: Principal, text: str) -> str:
        """Return the text of an error as it is shown."""
        found = self.value(principal, "error", text)
        return found if isinstance(found, str) else HIDDEN

    def _ruled(self, principal: Principal, kind: ValueKind, value: JsonValue) -> JsonValue:
        """Return what the application shows instead of a value."""
        if self._redact is None:
            return value
        try:
            found = self._redact(principal, kind, deepcopy(value))
            size_of(found)  # what is no JSON would fail later, in the middle of an answer
        except Exception:  # the application's code; whatever it is, nothing may leak
            log.exception("The redaction of the application has failed, so a value is hidden.")
            return hidden(value)
        if isinstance(value, dict) and not isinstance(found, dict):
            return {HIDDEN: found}
        if isinstance(value, str) and not isinstance(found, str):
            return json.dumps(found, ensure_ascii=False)
        return found

    def _walk(self, principal: Principal, value: object) -> object:
        if isinstance(value, BaseModel):
            return self._model(principal, value)
        if _is_list(value):
            return [self._walk(principal, each) for each in value]
        if _is_tuple(value):
            return tuple(self._walk(principal, each) for each in value)
        if _is_object(value):
            return {name: self._field(principal, name, each) for name, each in value.items()}
        return value

    def _model(self, principal: Principal, model: BaseModel) -> BaseModel:
        fields = {name: getattr(model, name) for name in type(model).model_fields}
        changed = {name: self._field(principal, name, each) for name, each in fields.items()}
        if isinstance(model, Notice) and model.kind == "retrying" and model.reason is not None:
            changed["reason"] = self.text(principal, model.reason)
        if isinstance(model, ExecutionLog):  # messages are seen without payloads:read too
            changed["message"] = self._ruled(principal, "log", model.message)
        if isinstance(model, FieldDifference) and model.field.partition("/")[0] == "config":
            changed["old"] = self.value(principal, "config", model.old)
            changed["new"] = self.value(principal, "config", model.new)
        # Not validated anew: only values changed, and those by our own hand.
        return model.model_copy(update=changed)

    def _field(self, principal: Principal, name: str, value: object) -> object:
        kind = KINDS.get(name)
        if kind is not None and _is_json(value):
            return self.value(principal, kind, value)
        return self._walk(principal, value)


def hidden(value: JsonValue) -> JsonValue:
    """Return what stands for a value that is not shown: dots, and its size."""
    size = f"{size_of(value)} bytes"
    return {HIDDEN: size} if isinstance(value, dict) else f"{HIDDEN} ({size})"


def size_of(value: JsonValue) -> int:
    """Return the size of a text, or of a value as JSON, in bytes of UTF-8."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text.encode(errors="surrogatepass"))


def _is_json(value: object) -> TypeIs[JsonValue]:
    return value is None or isinstance(value, str | int | float | dict | list)


def _is_list(value: object) -> TypeIs[list[object]]:
    return isinstance(value, list)


def _is_tuple(value: object) -> TypeIs[tuple[object, ...]]:
    return isinstance(value, tuple)


def _is_object(value: object) -> TypeIs[dict[str, object]]:
    return isinstance(value, dict)
