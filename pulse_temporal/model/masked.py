"""Find what pydantic masks or recodes when it writes a model as JSON: secrets and bytes.

Stored as they are written, a secret would be asterisks and bytes would be other bytes, without an
error. So models that hold them are refused.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from pulse_temporal.model.plain import article, is_list, is_mapping

MASKS = ("**********", "")
"""How pydantic writes a secret, unless a serializer of the author reveals it."""

DEEPEST = 64

ABSENT = object()
"""Stands for the JSON of a value that pydantic could not write."""

Child: TypeAlias = tuple[str | int, object, object]
"""Key or index, the value there, and the value as JSON."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A secret or bytes inside a model.

    Attributes:
        path: Keys and indexes that lead to it, in the spelling of the JSON.
        kind: Its type with an article, for a message.
    """

    path: tuple[str | int, ...]
    kind: str


def find_masked(
    value: object, shown: object, *, path: tuple[str | int, ...] = ()
) -> Masked | None:
    """Return the first secret or bytes in a model, at any depth; None when there are none.

    Values that the author writes in a form of their own, such as ``Base64Bytes`` or a serializer
    that reveals a secret, do not count; nor do those that are left out of the JSON.

    Args:
        value: Any value.
        shown: The same value as pydantic wrote it, in JSON's own types; or ``ABSENT``.
        path: The path of the value.
    """
    if len(path) > DEEPEST:  # deeper than JSON may be, or a model that holds itself
        return None
    if _is_masked(value):
        return Masked(path, article(value)) if _is_default(value, shown) else None
    for name, inner, inner_shown in _children(value, shown):
        found = find_masked(inner, inner_shown, path=(*path, name))
        if found:
            return found
    return None


def _children(value: object, shown: object) -> Iterable[Child]:
    """Return the parts of a value; none if the author has chosen another form for the JSON."""
    if isinstance(value, BaseModel):
        fields = dict(_fields_of(value))
        is_root = type(value).__pydantic_root_model__
        return _children(fields["root"], shown) if is_root else _named(fields.items(), shown)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value)]
        return _named(((name, _read(value, name)) for name in names), shown)
    if is_mapping(value):
        return _in_order(value.items(), shown)
    if _is_listed(value):
        return _in_order(enumerate(value), shown)
    return ()


def _fields_of(model: BaseModel) -> Iterator[tuple[str, object]]:
    """Yield the fields of a model with their names in the JSON."""
    kind = type(model)
    for name, field in kind.model_fields.items():
        yield field.serialization_alias or field.alias or name, _read(model, name)
    for name, computed in kind.model_computed_fields.items():
        yield computed.alias or name, _read(model, name)
    yield from (model.model_extra or {}).items()


def _read(model: object, name: str) -> object:
    """Return an attribute, which may run foreign code; None when that fails."""
    try:
        return getattr(model, name, None)
    except Exception:  # noqa: BLE001 - whatever a computed field raises
        return None


def _named(fields: Iterable[tuple[str, object]], shown: object) -> Iterator[Child]:
    """Pair fields with their JSON by name."""
    for name, inner in fields:
        if shown is ABSENT:
            yield name, inner, ABSENT
        elif is_mapping(shown) and name in shown:
            yield name, inner, shown[name]


def _in_order(items: Iterable[tuple[object, object]], shown: object) -> Iterator[Child]:
    """Pair items with their JSON by position, as keys may look different there.

    When the numbers differ, a serializer of the author has changed them: nothing is paired.
    """
    held = list(items)
    if shown is ABSENT:
        pairs = [(str(key) if not isinstance(key, int) else key, ABSENT) for key, _ in held]
    else:
        pairs = list(_entries(shown))
    if len(pairs) != len(held):
        return
    for (key, inner), (name, inner_shown) in zip(held, pairs, strict=True):
        yield name, key if _is_masked(key) else inner, name if _is_masked(key) else inner_shown


def _entries(shown: object) -> Iterable[tuple[str | int, object]]:
    if is_mapping(shown):
        return [(str(key), inner) for key, inner in shown.items()]
    return list(enumerate(shown)) if is_list(shown) else ()


def _is_listed(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, (list, tuple, set, frozenset, deque))


def _is_binary(value: object) -> TypeGuard[bytes]:
    return isinstance(value, (bytes, bytearray, memoryview))


def _is_masked(value: object) -> bool:
    return _is_binary(value) or isinstance(value, (SecretStr, SecretBytes, Secret))


def _is_default(value: object, shown: object) -> bool:
    """Return whether the JSON has a secret or bytes as pydantic writes them by default."""
    if shown is ABSENT:
        return True
    if _is_binary(value):
        return bytes(value).decode(errors="replace") == shown
    return shown in MASKS
