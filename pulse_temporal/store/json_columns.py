"""Parse JSON columns, which arrive as text and may have been written by other programs."""

from __future__ import annotations

import re

from pydantic import JsonValue, TypeAdapter, ValidationError

from pulse_temporal.model.canonical import MAX_INT, MIN_INT
from pulse_temporal.model.values import JsonObject

PREVIEW_CHARS = 1_000

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_LONG_NUMBER = re.compile("[0-9]{19}")


def has_long_number(text: str) -> bool:
    """Return whether a JSON text may hold a whole number that does not fit into 64 bits."""
    return _LONG_NUMBER.search(text) is not None


def json_object(text: str | None) -> JsonObject:
    """Parse a JSON object column; NULL is an empty object.

    Other programs write these columns too: what is no object comes as ``{"value": ...}``, what
    cannot be parsed (deeper than 200 levels, thousands of digits) as the mark of cut values.
    """
    value = json_value(text) if text else {}
    return value if isinstance(value, dict) else {"value": value}


def json_value(text: str) -> JsonValue:
    """Parse a JSON column.

    Postgres writes every whole number in digits. One that does not fit into 64 bits was a
    float, for canonical JSON has no such integers, and becomes one again.
    """
    try:
        value = _JSON.validate_json(text)
    except ValidationError:
        return {"truncated": True, "preview": text[:PREVIEW_CHARS]}
    return _with_floats(value) if _LONG_NUMBER.search(text) else value


def _with_floats(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    if type(value) is int and not MIN_INT <= value <= MAX_INT:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return value
