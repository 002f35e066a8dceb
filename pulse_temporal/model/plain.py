"""Foreign Python values as JSON's own types, one level at a time, and their names for people."""

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
"""NUL and lone surrogates: what Python text can hold and Postgres cannot."""

ACCEPTED = (
    "accepted are objects with text keys, lists, text, finite numbers, true, false, null, "
    "and as conveniences pydantic models, dates, UUIDs, enums and tuples"
)
REPR_CHARS = 500


def is_dict(value: object) -> TypeGuard[dict[object, object]]:
    """Say whether a value is a dict and no subclass, which could behave differently."""
    return type(value) is dict


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Say whether a value is a list or a tuple and no subclass."""
    return type(value) is list or type(value) is tuple


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Say whether a value is any kind of mapping."""
    return isinstance(value, Mapping)


def is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    """Say whether a value is any kind of list or tuple."""
    return isinstance(value, (list, tuple))


def unwrap(value: object) -> object:
    """Give the plain stand-in of a value whose type is not JSON's own.

    Models, mappings, dates, UUIDs, enums and subclasses of JSON's types have one; what
    is inside a container is not looked at.

    Raises:
        TypeError: There is none, or the value's own code failed while it was read. That error
            is not chained: it may quote the value.
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
    """Return an error's class and the line that raised it, never its text, which may be a secret.

    For foreign code whose error is not chained, so that a person still finds the place.
    """
    frames = traceback.extract_tb(error.__traceback__)
    name = type(error).__name__
    return (
        f"{name} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else name
    )


def article(value: object) -> str:
    """Name the type of a value for a message: ``a set``, ``an object``."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in tuple('aeiou') else 'a'} {name}"


def json_kind(value: object) -> str:
    """Name the kind of a value in the words of JSON: ``text``, ``a list``, ``null``."""
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
    """Give at most 500 characters of a value's ``repr``; never raises."""
    try:
        return str.__str__(repr(value))[:REPR_CHARS]
    except BaseException:  # noqa: BLE001 - foreign code; a log must not fail or end on it
        return f"<{type(value).__name__}>"


def spell(value: object) -> str:
    """Give a value as text, by its own ``str``; never raises, whatever that does."""
    try:
        return str.__str__(str(value))
    except BaseException as error:  # noqa: BLE001 - foreign code, and SystemExit must not get out
        return f"(its text could not be read: {type(error).__name__})"


def digits(value: int) -> str:
    """Give the digits of an integer of any size, cut hexadecimal ones for a huge one."""
    try:
        return str(value)
    except ValueError:  # Python writes no more than 4300 digits
        return hex(value)[:REPR_CHARS]


def float_name(value: float) -> str:
    """Name a float that is not finite: ``NaN``, ``Infinity`` or ``-Infinity``."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def repair(text: str) -> str:
    """Put U+FFFD where the text holds NUL or a lone surrogate."""
    return UNSAFE.sub("\ufffd", text)


def json_pointer(path: Sequence[str | int]) -> str:
    """Give the JSON pointer (RFC 6901) of a path; the empty path gives ``""``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
