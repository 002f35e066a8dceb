"""Canonical JSON: only what Postgres, Temporal and every client can carry.

Canonical JSON has a depth of at most 64, integers of 64 bits, finite numbers, and text
without NUL or lone surrogates. ``canonical_json`` refuses anything else, while the caller
can still be told. ``scrub_json`` and ``scrub_text`` repair it instead: for logs and errors,
where a refusal would lose the message that explains the failure.

Postgres keeps decimal digits, not binary fractions. So numbers are written as it returns
them: minus zero as 0.0, whole floats that need an exponent as integers while they fit into
64 bits. Then a value that is read and sent again has the same text and the same hash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter

from pydantic import BaseModel, JsonValue

from pulse_temporal.errors import JsonValueError
from pulse_temporal.model.json_text import write_json
from pulse_temporal.model.masked import ABSENT, find_masked
from pulse_temporal.model.plain import (
    ACCEPTED,
    UNSAFE,
    article,
    cut_repr,
    digits,
    float_name,
    is_dict,
    is_list,
    json_pointer,
    repair,
    spell,
    unwrap,
)

MAX_DEPTH = 64
MIN_INT = -(2**63)
MAX_INT = 2**63 - 1

_TRUNCATED = "… [truncated]"
_POINTER_PART_CHARS = 100
_EXPONENT_FROM = 1e16
"""From here on, floats are whole numbers, and ``repr`` writes them with an exponent."""


def canonical_json(value: object, *, where: str, max_bytes: int) -> str:
    """Return the canonical JSON text of a value: sorted keys, no blanks, equal for equal values.

    Besides JSON's own types it accepts pydantic models, dates and datetimes (ISO 8601),
    UUIDs, enums with text or integer values, and tuples as lists.

    Args:
        value: Any object at all; the work on hostile input is bounded.
        where: The field, for the message.
        max_bytes: Bound of the text in UTF-8.

    Raises:
        JsonValueError: It is not canonical JSON; names the place and what is accepted.
    """
    text = write_json(canonical_tree(value, where=where, max_bytes=max_bytes))
    size = len(text.encode())
    if size > max_bytes:
        raise JsonValueError(where, "", f"{_too_large(max_bytes)}, it has {size}")
    return text


def canonical_object(value: object, *, where: str, max_bytes: int) -> str:
    """Return the canonical JSON text of a value that must be an object.

    Raises:
        JsonValueError: As ``canonical_json``, or the value is not an object.
    """
    text = canonical_json(value, where=where, max_bytes=max_bytes)
    if not text.startswith("{"):
        raise JsonValueError(where, "", f"must be an object, not {type(value).__name__}")
    return text


def canonical_tree(
    value: object, *, where: str, max_bytes: int, max_depth: int = MAX_DEPTH
) -> JsonValue:
    """Return a copy of a value in JSON's own types, with sorted keys.

    Args:
        value: Any object at all.
        where: The field, for the message.
        max_bytes: Copying stops when the text is sure to become longer. A text that is a
            little longer may pass; ``canonical_json`` measures exactly.
        max_depth: Levels of objects and lists that are allowed.

    Raises:
        JsonValueError: It is not canonical JSON.
    """
    try:
        return _Gate(max_bytes, max_depth).copy(value, 0)
    except _TooLarge as refused:
        error = JsonValueError(where, "", str(refused))
    except _Refused as refused:
        error = refused.at(where)
    raise error  # outside the except block: a chained error may quote the value


def opened(model: BaseModel, *, where: str) -> object:
    """Return the JSON form of a pydantic model; its values are not checked any further.

    Raises:
        JsonValueError: It holds a secret or bytes, which JSON would mask or recode.
    """
    try:
        return _plain(model)
    except _Refused as refused:
        error = refused.at(where)
    raise error


def scrub_json(value: object, *, max_bytes: int) -> str:
    """Return JSON text for any value at all, repaired where necessary; never raise.

    NUL and lone surrogates become U+FFFD, NaN and infinities their names, integers beyond
    64 bits their digits as text, unknown objects a cut ``repr``. A part that is nested deeper
    than 64 levels, or a whole text longer than ``max_bytes``, is replaced by
    ``{"truncated": true, "preview": "..."}``.

    Args:
        value: Any value, for example the data of a log line.
        max_bytes: Bound of the text in UTF-8; below 18 only ``{}`` fits.
    """
    scrubber = _Scrubber(max_bytes)
    text = write_json(scrubber.copy(value, 0))
    if not scrubber.cut and len(text.encode()) <= max_bytes:
        return text
    return _preview(text, max_bytes)


def scrub_object(value: object, *, max_bytes: int) -> str:
    """Return JSON text of an object, as ``scrub_json``; other values as ``{"value": ...}``."""
    text = scrub_json(value, max_bytes=max_bytes)
    return text if text.startswith("{") else scrub_json({"value": value}, max_bytes=max_bytes)


def scrub_text(value: object, *, max_bytes: int) -> str:
    """Return text that Postgres can store, cut to a size; never raise.

    NUL and lone surrogates become U+FFFD. Longer text is cut between two characters and
    ends in ``… [truncated]``.

    Args:
        value: Text, or a value whose ``str`` is meant, such as an exception.
        max_bytes: Bound of the result in UTF-8.
    """
    encoded = repair(spell(value)[: max_bytes + 1]).encode()
    if len(encoded) <= max_bytes:
        return encoded.decode()
    mark = _TRUNCATED if max_bytes >= len(_TRUNCATED.encode()) else ""
    return encoded[: max_bytes - len(mark.encode())].decode(errors="ignore") + mark


class _Refused(Exception):  # noqa: N818 - control flow of this module, never seen outside
    """Raised inside the gate; collects the path on its way up, innermost part first."""

    def __init__(self, message: str, *, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.path: list[str | int] = list(reversed(path))

    def at(self, where: str) -> JsonValueError:
        """Return the error for the caller."""
        pointer = json_pointer([_readable(part) for part in reversed(self.path)])
        return JsonValueError(where, pointer, str(self))


class _TooLarge(_Refused):
    """The whole value is too large; no place inside it is to blame."""


class _Gate:
    """Copies one value and refuses what is not canonical.

    ``left`` is the rest of the byte budget; what is taken from it is never more than the text
    needs. It bounds the work on shared references: sixty levels of a list that holds the next
    one twice are small in memory, but endless as text.
    """

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        self.max_bytes = max_bytes
        self.max_depth = max_depth
        self.left = max_bytes

    def copy(self, value: object, depth: int) -> JsonValue:  # noqa: PLR0911 - one a type
        if type(value) is str:
            return self._text(value)
        if value is None or type(value) is bool:
            return value
        if type(value) is int:
            return _integer(value)
        if type(value) is float:
            return _number(value)
        if is_dict(value):
            return self._object(value, depth)
        if is_list(value):
            return self._list(value, depth)
        return self.copy(_plain(value), depth)

    def _text(self, text: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            raise _TooLarge(_too_large(self.max_bytes))
        if "\0" in text or not text.isascii():
            _check_text(text)
        return text

    def _object(self, value: dict[object, object], depth: int) -> JsonValue:
        self._enter(len(value), depth)
        clean: dict[str, JsonValue] = {}
        for key, item in sorted(_fields(value).items(), key=itemgetter(0)):
            try:
                clean[self._text(key)] = self.copy(item, depth + 1)
            except _Refused as refused:
                refused.path.append(key)
                raise
        return clean

    def _list(self, value: Sequence[object], depth: int) -> JsonValue:
        self._enter(len(value), depth)
        clean: list[JsonValue] = []
        for item in value:
            try:
                clean.append(self.copy(item, depth + 1))
            except _Refused as refused:
                refused.path.append(len(clean))
                raise
        return clean

    def _enter(self, size: int, depth: int) -> None:
        if depth >= self.max_depth:
            raise _Refused(f"nested deeper than {self.max_depth} levels of objects and lists")
        self.left -= 2 * size  # each entry has at least one character and a comma
        if self.left < 0:
            raise _TooLarge(_too_large(self.max_bytes))


def _plain(value: object) -> object:
    """Return a foreign value in JSON's types, one level deep.

    Raises:
        _Refused: It has no such form, or it is a model whose JSON masks a secret or bytes.
    """
    reason: TypeError | None = None
    try:
        plain = unwrap(value)
    except TypeError as error:
        plain, reason = ABSENT, error
    masked = find_masked(value, plain) if isinstance(value, BaseModel) else None
    if masked is not None:
        raise _Refused(f"{masked.kind} is not JSON; {ACCEPTED}", path=masked.path)
    if reason is not None:
        raise _Refused(str(reason))
    return plain


class _Scrubber:
    """Copies one value and repairs what is not canonical; ``cut``: parts of it are missing."""

    def __init__(self, max_bytes: int) -> None:
        self.left = max_bytes
        self.cut = False

    def copy(self, value: object, depth: int) -> JsonValue:  # noqa: PLR0911 - one a type
        if type(value) is str:
            return self._text(value)
        if value is None or type(value) is bool:
            return value
        if type(value) is int:
            return value if MIN_INT <= value <= MAX_INT else self._text(digits(value))
        if type(value) is float:
            return _number(value) if math.isfinite(value) else self._text(float_name(value))
        if is_dict(value):
            return self._object(value, depth) if depth < MAX_DEPTH else self._too_deep()
        if is_list(value):
            return self._list(value, depth) if depth < MAX_DEPTH else self._too_deep()
        return self._foreign(value, depth)

    def _too_deep(self) -> JsonValue:
        return {"truncated": True, "preview": self._text(f"deeper than {MAX_DEPTH} levels")}

    def _foreign(self, value: object, depth: int) -> JsonValue:
        try:
            plain = unwrap(value)
        except TypeError:
            return self._text(cut_repr(value))
        return self.copy(plain, depth)

    def _text(self, text: str) -> str:
        if len(text) > self.left:
            self.cut = True
        kept = repair(text[: max(self.left, 0)])
        self.left -= len(text)
        return kept

    def _object(self, value: dict[object, object], depth: int) -> JsonValue:
        clean: dict[str, JsonValue] = {}
        for key, item in list(value.items()):
            if self._is_full():
                break
            name = self._text(key if type(key) is str else cut_repr(key))
            clean[name] = self.copy(item, depth + 1)
        return clean

    def _list(self, value: Sequence[object], depth: int) -> JsonValue:
        clean: list[JsonValue] = []
        for item in value:
            if self._is_full():
                break
            clean.append(self.copy(item, depth + 1))
        return clean

    def _is_full(self) -> bool:
        self.left -= 1
        self.cut = self.cut or self.left < 0
        return self.cut


def _fields(value: dict[object, object]) -> dict[str, object]:
    """Return the entries by keys of plain text.

    A subclass of ``str`` may be another key for Python and the same text in JSON: refused.
    """
    fields: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _Refused(f"a key is {article(key)}; keys must be text")
        name = key if type(key) is str else str.__str__(key)
        if name in fields:
            raise _Refused(f'the key "{_readable(name)}" comes twice; keys must be unique')
        fields[name] = item
    return fields


def _check_text(text: str) -> None:
    found = UNSAFE.search(text)
    if found:
        name = "NUL" if found[0] == "\0" else "a lone surrogate"
        raise _Refused(f"the text contains {name}, which cannot be stored")


def _integer(value: int) -> int:
    if not MIN_INT <= value <= MAX_INT:
        raise _Refused("an integer outside 64 bits; send it as text")
    return value


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise _Refused(f"{float_name(value)} is not a finite number")
    if abs(value) >= _EXPONENT_FROM and MIN_INT <= value < -MIN_INT:
        return int(value)
    return value or 0.0  # minus zero is falsy, and becomes zero


def _too_large(max_bytes: int) -> str:
    return f"has more than {max_bytes} bytes as JSON in UTF-8"


def _readable(part: str | int) -> str:
    return repair(str(part)[:_POINTER_PART_CHARS])


def _preview(text: str, max_bytes: int) -> str:
    """Return a preview with as much of ``text`` as fits; escapes make it longer, so try down."""
    room = max_bytes
    while room > 0:
        wrapped = write_json({"truncated": True, "preview": scrub_text(text, max_bytes=room)})
        size = len(wrapped.encode())
        if size <= max_bytes:
            return wrapped
        room -= max(size - max_bytes, 1)
    return '{"truncated":true}' if max_bytes >= len('{"truncated":true}') else "{}"
