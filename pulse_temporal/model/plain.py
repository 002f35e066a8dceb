"""Turn Python values into JSON's own types, one level at a time, and name them for people."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Mapping, Sequence
from datetime import date
from enum import Enum
from pathlib import Path
from typing import TypeGuard
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

UNSAFE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates, which Python text can hold and Postgres cannot."""

ACCEPTED = (
    "accepted are objects with text keys, lists, text, finite numbers, true, false, null, "
    "and as conveniences pydantic models, dates, UUIDs, enums and tuples"
)
REPR_CHARS = 500


def is_dict(value: object) -> TypeGuard[dict[object, object]]:
    """Return whether a value is a dict and not of a subclass, which could behave differently."""
    return type(value) is dict


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a value is a list or a tuple and not of a subclass."""
    return type(value) is list or type(value) is tuple


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Return whether a value is a mapping of any class."""
    return isinstance(value, Mapping)


def is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a value is a list or a tuple, or of a subclass."""
    return isinstance(value, (list, tuple))


def unwrap(value: object) -> object:
    """Return the equivalent in JSON's own types of a model, mapping, date, UUID or enum.

    Also of subclasses of JSON's types. What is inside a container stays as it is.

    Raises:
        TypeError: It has none, or the value's own code failed while it was read. That error
            is not chained, as it may quote the value.
    """
    refusal = f"is not JSON; {ACCEPTED}"
    plain: object = None
    try:
        plain = _plain(value)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        refusal = f"failed to be read: {failure_of(error)}"
    if plain is None:
        raise TypeError(f"{article(value)} {refusal}")
    return plain


def _plain(value: object) -> object:
    plain: object = None
    if isinstance(value, BaseModel):
        plain = value.model_dump(mode="json", by_alias=True, warnings=False)
    elif is_mapping(value):
        plain = dict(value)
    elif is_sequence(value):
        plain = list(value)
    elif isinstance(value, (date, UUID)):
        plain = to_jsonable_python(value)
    elif isinstance(value, Enum):
        plain = _scalar(value.value) if isinstance(value.value, (str, int)) else None
    else:
        plain = _scalar(value)
    return plain


def _scalar(value: object) -> object:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else None


def failure_of(error: BaseException) -> str:
    """Return an error's class and the line that raised it, but not its text: it may hold secrets.

    For errors of foreign code that are not chained, so that a person still finds the place.
    """
    frames = traceback.extract_tb(error.__traceback__)
    name = type(error).__name__
    return (
        f"{name} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else name
    )


def article(value: object) -> str:
    """Return the type of a value for a message, with an article: ``a set``, ``an object``."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in tuple('aeiou') else 'a'} {name}"


def json_kind(value: object) -> str:
    """Return the kind of a value in the words of JSON: ``text``, ``a list``, ``null``."""
    name = f"a Python {type(value).__name__}"
    if value is None:
        name = "null"
    elif isinstance(value, bool):
        name = "a boolean"
    elif isinstance(value, str):
        name = "text"
    elif isinstance(value, int):
        name = "a number"
    elif isinstance(value, float):
        name = "a decimal number"
    elif isinstance(value, BaseModel):
        name = f"a pydantic model ({type(value).__name__})"
    elif is_mapping(value):
        name = "an object"
    elif is_sequence(value):
        name = "a list"
    return name


def cut_repr(value: object) -> str:
    """Return at most 500 characters of a value's ``repr``; never raise."""
    try:
        return str.__str__(repr(value))[:REPR_CHARS]
    except BaseException:  # noqa: BLE001 - foreign code; a log must not fail or end on it
        return f"<{type(value).__name__}>"


def spell(value: object) -> str:
    """Return a value's ``str``, or why that failed; never raise."""
    try:
        return str.__str__(str(value))
    except BaseException as error:  # noqa: BLE001 - foreign code, and SystemExit must not get out
        return f"(its text could not be read: {type(error).__name__})"


def digits(value: int) -> str:
    """Return the digits of an integer; of one beyond 4300 digits, 500 hexadecimal ones."""
    try:
        return str(value)
    except ValueError:  # Python refuses to write more than 4300 digits
        return hex(value)[:REPR_CHARS]


def float_name(value: float) -> str:
    """Return the name of a float that is not finite: ``NaN``, ``Infinity`` or ``-Infinity``."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def repair(text: str) -> str:
    """Return the text with U+FFFD for every NUL and lone surrogate."""
    return UNSAFE.sub("\ufffd", text)


def json_pointer(path: Sequence[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path; ``""`` for the empty path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
