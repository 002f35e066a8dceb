"""Describe what is wrong with an input, in the caller's own spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import ErrorDetails

from pulse_temporal.errors import Problem
from pulse_temporal.model.plain import is_mapping, is_sequence, json_kind, json_pointer, repair
from pulse_temporal.model.steps import STEP_MODELS, RetryPolicy
from pulse_temporal.model.values import Value

MAX_PROBLEMS = 100
ON_FALSE_WORDS = ("complete", "skip")
SET_BY_PULSE = ("id", "created_at", "updated_at", "version", "schedule_error", "warnings")

_POINTER_PART_CHARS = 100
_KEYS_LOOKED_AT = 200
_STEP_MODELS: Mapping[object, type[Value]] = {**STEP_MODELS}

Place = tuple[str | int, ...]
"""Keys and indexes from the root of an input to one of its values."""

_MESSAGES: Mapping[str, str] = {
    "missing": "is required",
    "string_type": "must be text, not {kind}",
    "string_sub_type": "must be text, not {kind}",
    "string_unicode": "must not contain control characters or lone surrogates",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be a whole number, not {kind}",
    "float_type": "must be a number, not {kind}",
    "bool_type": "must be true or false, not {kind}",
    "list_type": "must be a list, not {kind}",
    "dict_type": "must be an object, not {kind}",
    "model_type": "must be an object, not {kind}",
    "model_attributes_type": "must be an object with a type and a name, not {kind}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} {noun}, not {actual_length}",
}
"""Messages by pydantic's error type; ``kind`` is the kind of the value that was sent."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem whose place is still a path, not a JSON pointer."""

    place: Place
    message: str
    hint: str | None = None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint with the known word most like ``word``; None when none is like it."""
    by_shape = {_shape(name): name for name in known}
    shape = _shape(word[:_POINTER_PART_CHARS])
    longer = [known_shape for known_shape in by_shape if known_shape.startswith(shape)]
    close = longer or get_close_matches(shape, by_shape, n=1)
    return f'Did you mean "{by_shape[close[0]]}"?' if close else None


def one_of(words: Sequence[str]) -> str:
    """Return words as a list for a message: ``"a", "b" or "c"``."""
    quoted = [f'"{word}"' for word in words]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}" if quoted[1:] else "".join(quoted)


def explain(
    error: ValidationError, *, data: Mapping[str, object], model: type[Value]
) -> list[Finding]:
    """Return pydantic's errors about an input as findings, at most 101 of them.

    Args:
        error: Raised when ``data``, or a cleaned copy of it, was validated.
        data: The input as the caller spelled it.
        model: The model that it was validated against.
    """
    details = error.errors(include_url=False, include_input=False)[: MAX_PROBLEMS + 1]
    return [_Explainer(detail, data, model).finding() for detail in details]


def to_problems(findings: Iterable[Finding], *, data: Mapping[str, object]) -> list[Problem]:
    """Return findings as problems in document order: at most 100, then ``… and more``."""
    ordered = sorted(findings, key=lambda finding: _position(data, finding.place))
    problems = [
        Problem(json_pointer(_readable(found.place)), found.message, found.hint)
        for found in ordered[:MAX_PROBLEMS]
    ]
    if len(ordered) > MAX_PROBLEMS:
        problems.append(Problem("", "… and more"))
    return problems


class _Explainer:
    """Explains one of pydantic's errors about an input."""

    def __init__(
        self, detail: ErrorDetails, data: Mapping[str, object], model: type[Value]
    ) -> None:
        self.kind = detail["type"]
        self.message = detail["msg"]
        self.context: dict[str, object] = detail.get("ctx", {})
        self.place = _without_tags(detail["loc"])
        self.data = data
        self.model = model

    def finding(self) -> Finding:
        value = _lookup(self.data, self.place)
        if self.kind == "extra_forbidden":
            return self._unknown_field(str(self.place[-1]))
        if self.kind in {"union_tag_invalid", "union_tag_not_found"}:
            return self._unknown_type(_child(value, "type"))
        place = self.place
        if self.kind == "missing":
            place = (*place[:-1], self._spell(str(place[-1])))
        facts = {**self.context, "kind": json_kind(value), "noun": _noun(place)}
        template = _MESSAGES.get(self.kind)
        message = template.format_map(facts) if template else _must(self.message)
        return Finding(place, message, self._hint(value))

    def _hint(self, value: object) -> str | None:
        if not isinstance(value, str):
            return None
        if self.kind == "model_attributes_type":
            return 'Write {"type": "action", "name": "..."}.'
        return did_you_mean(value, ON_FALSE_WORDS) if self.kind == "pulse_on_false" else None

    def _unknown_type(self, value: object) -> Finding:
        place = (*self.place, "type")
        choice = one_of(list(STEP_MODELS))
        if value is None:
            return Finding(place, f"is required: {choice}")
        hint = did_you_mean(value, STEP_MODELS) if isinstance(value, str) else None
        return Finding(place, f"must be {choice}", hint)

    def _unknown_field(self, name: str) -> Finding:
        if len(self.place) == 1 and to_snake(name) in SET_BY_PULSE:
            return Finding(self.place, "is set by Pulse and cannot be sent; leave it out")
        model = self._model_at(self.place[:-1])
        fields = [self._spell(field) for field in model.model_fields] if model else []
        hint = _belongs_to(name) or did_you_mean(name, fields)
        return Finding(self.place, f"is not a field here; known are {', '.join(fields)}", hint)

    def _model_at(self, place: Place) -> type[Value] | None:
        """Return the model of the object at a place; None when its ``type`` is unknown."""
        if not place:
            return self.model
        if _is_step(place):
            return _STEP_MODELS.get(_child(_lookup(self.data, place), "type"))
        return RetryPolicy if to_snake(str(place[-1])) == "retry_policy" else None

    def _spell(self, field: str) -> str:
        """Return a field's name in snake_case or camelCase, as the caller seems to write.

        The object itself decides, then the root; camelCase when neither tells.
        """
        for place in (self.place[:-1], ()):
            keys = _keys(_lookup(self.data, place))
            if any("_" in key for key in keys):
                return to_snake(field)
            if any(key != key.lower() for key in keys):
                break
        return to_camel(to_snake(field))


def _noun(place: Place) -> str:
    if place[-1:] == ("branches",):
        return "branches"
    return "steps" if place[:1] == ("steps",) else "entries"


def _must(message: str) -> str:
    return message.replace("Input should", "must", 1)


def _belongs_to(name: str) -> str | None:
    owners = [kind for kind, model in STEP_MODELS.items() if to_snake(name) in model.model_fields]
    return f"It belongs to a step of type {one_of(owners)}." if owners else None


def _shape(word: str) -> str:
    """Return a word without case and punctuation, so ``send_mail`` and ``sendMail`` are equal."""
    return re.sub("[^a-z0-9]", "", word.lower()) or word


def _is_step(place: Place) -> bool:
    """Return whether a place is a step: ``steps, 2`` or ``steps, 2, branches, 0, 1``."""
    inner = place[2:]
    return place[1:] != () and place[0] == "steps" and _is_branching(inner)


def _is_branching(inner: Place) -> bool:
    return len(inner) % 3 == 0 and set(inner[::3]) <= {"branches"}


def _without_tags(loc: Place) -> Place:
    """Return pydantic's place without the step type that it adds after every step's index."""
    place: Place = ()
    after_step = False
    for part in loc:
        if not after_step:
            place = (*place, part)
        after_step = not after_step and isinstance(part, int) and _is_step(place)
    return place


def _lookup(value: object, place: Place) -> object:
    for part in place:
        value = _child(value, part)
    return value


def _child(value: object, part: str | int) -> object:
    if is_mapping(value):
        return value.get(part)
    if is_sequence(value) and isinstance(part, int) and part < len(value):
        return value[part]
    if isinstance(value, BaseModel) and part in type(value).model_fields:
        found: object = getattr(value, str(part))
        return found
    return None


def _keys(value: object) -> list[str]:
    """Return the first 200 keys of an object; a hostile one may have a million."""
    if is_mapping(value):
        return [key for key in islice(value, _KEYS_LOOKED_AT) if isinstance(key, str)]
    return list(type(value).model_fields) if isinstance(value, BaseModel) else []


def _position(data: object, place: Place) -> tuple[int, ...]:
    """Return the indexes of a place, to sort by document order; a missing field comes last."""
    numbers: list[int] = []
    for part in place:
        keys = _keys(data)
        if isinstance(part, int) or not keys:
            numbers.append(int(part) if str(part).isdecimal() else 0)
        else:
            numbers.append(keys.index(part) if part in keys else len(keys))
        data = _child(data, part)
    return tuple(numbers)


def _readable(place: Place) -> list[str | int]:
    return [
        part if isinstance(part, int) else repair(part[:_POINTER_PART_CHARS]) for part in place
    ]
