"""The base of all values, and the types of their fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from pulse_temporal.model.plain import UNSAFE

JsonObject = dict[str, JsonValue]
"""A JSON object; canonical.py says which values Pulse stores."""

NAME_CHARS = 200
RESOURCE_ID_CHARS = 400
DESCRIPTION_CHARS = 10_000

CONTROL_OR_SURROGATE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that a line of text must not contain."""


class Value(BaseModel):
    """A frozen value; an unknown field is an error.

    Field names are accepted in snake_case and camelCase, and written in camelCase, the
    spelling of the tables and of the TypeScript Pulse. Validation errors do not repeat
    the input, which may hold secrets.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        hide_input_in_errors=True,
    )


def is_name(text: str) -> bool:
    """Return whether a text keeps the rules of a ``Name``."""
    return 1 <= len(text) <= NAME_CHARS and not CONTROL_OR_SURROGATE.search(text)


def _line(max_chars: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not 1 <= len(text) <= max_chars:
            raise PydanticCustomError(
                "pulse_length",
                "must have 1 to {max_chars} characters, not {chars}",
                {"max_chars": max_chars, "chars": len(text)},
            )
        if CONTROL_OR_SURROGATE.search(text):
            raise PydanticCustomError(
                "pulse_characters",
                "must not contain control characters or lone surrogates",
            )
        return text

    return check


def _prose(text: str) -> str:
    if UNSAFE.search(text):
        raise PydanticCustomError("pulse_characters", "must not contain NUL or lone surrogates")
    return text


Name = Annotated[str, Field(strict=True), AfterValidator(_line(NAME_CHARS))]
"""One line of 1 to 200 characters without control characters or lone surrogates."""


def cron_text(text: str) -> str:
    """Return a cron expression on one line: crontabs have tabs, YAML ends it with a line break."""
    return text.replace("\t", " ").strip(" \r\n")


CronText = Annotated[
    str, Field(strict=True), AfterValidator(cron_text), AfterValidator(_line(NAME_CHARS))
]
"""A cron expression: a ``Name``, but with tabs and a line break at its end allowed."""

TenantId = Name
"""The owner of a row; a ``Name``."""

ResourceId = Annotated[str, Field(strict=True), AfterValidator(_line(RESOURCE_ID_CHARS))]
"""What a signal is about: as ``Name``, but up to 400 characters."""

Prose = Annotated[str, Field(strict=True, max_length=DESCRIPTION_CHARS), AfterValidator(_prose)]
"""Text for people, up to 10 000 characters; line breaks are fine."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false; words and numbers that mean the same are refused."""


def copied(value: JsonObject) -> JsonObject:
    """Return a deep copy of a JSON object."""
    return {name: _copied(inner) for name, inner in value.items()}


def _copied(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return copied(value)
    return [_copied(inner) for inner in value] if isinstance(value, list) else value
