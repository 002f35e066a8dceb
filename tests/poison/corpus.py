"""Values that break workflow engines: by name, made when they are needed, for every border."""

from __future__ import annotations

import asyncio
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import override

from pulse_temporal import NonRetryableError, RetryAfterError
from pulse_temporal.config import KIBIBYTE

LIMIT = 256 * KIBIBYTE
AROUND = len('{"v":""}')
"""Bytes around the text in a payload of one field."""


class Colour(StrEnum):
    RED = "red"


class Ratio(Enum):
    HALF = 0.5


class Point(BaseModel):
    x: int = 1


@dataclass
class Odd:
    n: int = 1


class Twin(str):
    """Text that equals nothing but itself."""

    __slots__ = ()

    @override
    def __eq__(self, other: object) -> bool:
        return self is other

    @override
    def __hash__(self) -> int:
        return id(self)


class Loud(UserDict[str, object]):
    """A mapping that fails when it is read."""

    @override
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")


def nested(depth: int) -> object:
    """Return objects and lists inside each other, ``depth`` of them."""
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


def cyclic() -> object:
    """Return a list that contains itself."""
    value: list[object] = []
    value.append({"in": value})
    return value


def shared() -> object:
    """Return a value that is small in memory and endless as text."""
    value: object = "x"
    for _ in range(60):
        value = [value, value]
    return value


CARRIED: Mapping[str, object] = {
    "empty text": "",
    "control characters": "\x01\x1b[31m\r\n\t\x7f",
    "SQL": "'); DROP TABLE pulse_triggers; --",
    "placeholders": "%s %(x)s $1 :x {} {0}",
    "templates": "{{constructor}} ${x} <%= x %> #{x}",
    "odd keys": {"__proto__": 1, "constructor": 2, "": 3, "$1": 4, "a.b": 5, "%s": 6, "~/": 7},
    "right to left": "\u202eevil\u202c",
    "zero width": "a\u200b\u200d\ufeffb",
    "combining": "Z" + "\u0301" * 1_000,
    "emoji": "👩‍👩‍👧‍👦🎉",
    "line separators": "\u2028\u2029\x85",
    "noncharacters": "\uffff\ufffe\U0010ffff",
    "markup": "<script>alert(1)</script>",
    "depth 64": nested(63),
    "integers of 64 bits": [2**63 - 1, -(2**63)],
    "minus zero": -0.0,
    "1e16": 1e16,
    "2**60 as a float": 2.0**60,
    "2**63 as a float": 2.0**63,
    "1e22": 1e22,
    "largest float": 1.7976931348623157e308,
    "smallest float": 5e-324,
    "whole float": 1.0,
    "fraction": 0.1,
    "256 KiB": "x" * (LIMIT - AROUND),
    "256 KiB of emoji": "🎉" * ((LIMIT - AROUND) // 4),
    "10 000 keys": {f"k{n}": n for n in range(10_000)},
    "10 000 items": list(range(10_000)),
}
"""Read back they are equal."""

CONVERTED: Mapping[str, tuple[object, object]] = {
    "tuple": ((1, (2,)), [1, [2]]),
    "model": (Point(), {"x": 1}),
    "datetime": (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
    "date": (date(2026, 1, 2), "2026-01-02"),
    "UUID": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "enum": (Colour.RED, "red"),
}
"""Conveniences, and what they are read back as."""

REFUSED: Mapping[str, tuple[Callable[[], object], str]] = {
    "NUL": (lambda: "a\0b", "/v: the text contains NUL"),
    "NUL in a key": (lambda: {"a\0b": 1}, "NUL"),
    "lone surrogate": (lambda: "\ud800", "/v: the text contains a lone surrogate"),
    "surrogates the wrong way round": (lambda: "\udf89\ud83c", "lone surrogate"),
    "surrogate in a key": (lambda: {"\udfff": 1}, "lone surrogate"),
    "half an emoji at the limit": (lambda: "x" * (LIMIT - 20) + "\ud83c", "lone surrogate"),
    "NaN": (lambda: float("nan"), "/v: NaN is not a finite number"),
    "infinity": (lambda: float("inf"), "/v: Infinity is not a finite number"),
    "1e400": (lambda: [-float("1e400")], "/v/0: -Infinity is not a finite number"),
    "2**63": (lambda: 2**63, "outside 64 bits; send it as text"),
    "-2**63 - 1": (lambda: -(2**63) - 1, "outside 64 bits"),
    "5000 digits": (lambda: 10**5_000, "outside 64 bits"),
    "depth 65": (lambda: nested(64), "deeper than 64 levels"),
    "depth 1 000": (lambda: nested(1_000), "deeper than 64 levels"),
    "depth 100 000": (lambda: nested(100_000), "deeper than 64 levels"),
    "cyclic": (cyclic, "deeper than 64 levels"),
    "shared parts": (shared, f"more than {LIMIT} bytes"),
    "256 KiB and 1": (lambda: "x" * (LIMIT - AROUND + 1), f"{LIMIT} bytes as JSON in UTF-8"),
    "3 MiB": (lambda: "x" * 3 * KIBIBYTE**2, f"more than {LIMIT} bytes"),
    "million items": (lambda: [0] * 10**6, f"more than {LIMIT} bytes"),
    "number as key": (lambda: {1: 1, "1": 2}, "/v: a key is an int; keys must be text"),
    "None as key": (lambda: {None: 1}, "keys must be text"),
    "key twice": (lambda: {Twin("a"): 1, Twin("a"): 2}, '/v: the key "a" comes twice'),
    "set": (lambda: {1}, "/v: a set is not JSON; accepted are"),
    "bytes": (lambda: b"x", "/v: a bytes is not JSON; accepted are"),
    "object": (object, "/v: an object is not JSON"),
    "dataclass": (Odd, "/v: an Odd is not JSON"),
    "Decimal": (lambda: Decimal(1), "/v: a Decimal is not JSON"),
    "timedelta": (lambda: timedelta(1), "/v: a timedelta is not JSON"),
    "enum of floats": (lambda: Ratio.HALF, "/v: a Ratio is not JSON"),
    "function": (lambda: nested, "/v: a function is not JSON"),
    "unreadable mapping": (lambda: Loud(a=1), "/v: a Loud failed to be read: RuntimeError"),
}
"""As ``{"v": ...}`` no border takes them; the reason names the place."""

ODD_NAMES: Mapping[str, str] = {
    "SQL": "'; DROP TABLE pulse_triggers; --",
    "placeholders": "%s %(x)s $1 :x {} {0}",
    "template": "{{constructor}}${x}",
    "prototype": "__proto__",
    "right to left": "\u202eevil",
    "zero width": "a\u200b\u200d",
    "combining": "Z" + "\u0301" * 100,
    "markup": "<script>alert(1)</script>",
    "path": "../../etc/passwd",
    "pointer": "~0/~1",
    "blank": " ",
    "markdown": "`**[x](javascript:1)**`",
    "longest": "x" * 200,
    "longest of emoji": "".join(chr(0x1F300 + n) for n in range(200)),
}
"""Ugly, and accepted wherever a name is."""

BAD_NAMES: Mapping[str, object] = {
    "empty": "",
    "NUL": "a\0b",
    "lone surrogate": "a\ud800",
    "half an emoji at the limit": "x" * 199 + "\ud83c",
    "CRLF": "a\r\nb",
    "line break at the end": "a\n",
    "ANSI": "\x1b[31mred",
    "DEL": "a\x7f",
    "C1": "a\x85",
    "10 000 characters": "x" * 10_000,
    "3 MiB": "x" * 3 * KIBIBYTE**2,
    "number": 7,
    "5000 digits": 10**5_000,
    "bytes": b"a",
    "list": ["a"],
    "true": True,
}
"""Refused wherever a name is."""


class Unprintable(Exception):  # noqa: N818 - its name is no matter
    @override
    def __str__(self) -> str:
        raise RuntimeError("no text")


class ExitsWhenPrinted(Exception):  # noqa: N818 - its name is no matter
    @override
    def __str__(self) -> str:
        raise SystemExit(3)


class CanceledWhenPrinted(Exception):  # noqa: N818 - its name is no matter
    @override
    def __str__(self) -> str:
        raise asyncio.CancelledError


class ExitUnprintable(SystemExit):
    @override
    def __repr__(self) -> str:
        raise SystemExit(5)


class NoException(BaseException):
    """Not caught by ``except Exception``."""


def circular() -> BaseException:
    """Return two errors that cause each other."""
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def bad_pause() -> BaseException:
    """Return an error whose pause is no length of time."""
    return RetryAfterError("later", retry_after="soon")  # pyright: ignore[reportArgumentType] - the mistake of a caller without types


ERRORS: Mapping[str, tuple[Callable[[], BaseException], str]] = {
    "3 MB": (lambda: RuntimeError("x" * 3 * 10**6), "… [truncated]"),
    "3 MB of UTF-8": (lambda: RuntimeError("☃" * 10**6), "☃… [truncated]"),
    "emoji at the limit": (lambda: RuntimeError("x" * 8_150 + "🎉" * 20), "x🎉"),
    "surrogate at the limit": (lambda: RuntimeError("x" * 8_150 + "\ud83c" * 50), "x\ufffd"),
    "lone surrogate": (lambda: RuntimeError("a\ud800b"), "RuntimeError: a\ufffdb"),
    "NUL": (lambda: RuntimeError("a\0b"), "RuntimeError: a\ufffdb"),
    "ANSI": (lambda: RuntimeError("\x1b[31mred\r\n"), "RuntimeError: \x1b[31mred\r\n"),
    "placeholders": (lambda: RuntimeError("%s {0} $1 {{x}}"), "%s {0} $1 {{x}}"),
    "no text": (RuntimeError, "RuntimeError"),
    "no text but an object": (lambda: RuntimeError(object()), "RuntimeError: <object object"),
    "unprintable": (Unprintable, "(its text could not be read: RuntimeError)"),
    "exits when printed": (ExitsWhenPrinted, "(its text could not be read: SystemExit)"),
    "canceled when printed": (CanceledWhenPrinted, "could not be read: CancelledError)"),
    "circular cause": (circular, "RuntimeError: first"),
    "group": (lambda: ExceptionGroup("two", [ValueError("a")]), "ExceptionGroup: two"),
    "group of exits": (lambda: BaseExceptionGroup("two", [SystemExit(1)]), "BaseExceptionGroup"),
    "recursion": (lambda: RecursionError("too deep"), "RecursionError: too deep"),
    "stop iteration": (StopIteration, "raised StopIteration"),
    "stop async iteration": (StopAsyncIteration, "StopAsyncIteration"),
    "canceled": (asyncio.CancelledError, "CancelledError"),
    "timeout": (TimeoutError, "TimeoutError"),
    "generator exit": (GeneratorExit, "GeneratorExit"),
    "no Exception": (lambda: NoException("out"), "NoException: out"),
    "exit": (lambda: SystemExit(3), "tried to end the process: SystemExit(3)"),
    "unprintable exit": (ExitUnprintable, "tried to end the process: <ExitUnprintable>"),
    "interrupt": (KeyboardInterrupt, "tried to end the process: KeyboardInterrupt()"),
    "bad pause": (bad_pause, "its retry_after is no timedelta, but 'soon'"),
    "negative pause": (lambda: RetryAfterError("x", retry_after=timedelta(-1)), "RetryAfter"),
    "final": (lambda: NonRetryableError("\0"), "NonRetryableError: \ufffd"),
}
"""What a handler may raise, and what the failed step says about it."""
