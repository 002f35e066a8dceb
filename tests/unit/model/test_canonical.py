"""The JSON gate: what passes is carried unchanged, everything else is named and refused."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_serializer
from typing_extensions import override

from pulse_temporal.errors import JsonValueError
from pulse_temporal.model.canonical import canonical_json, canonical_object, canonical_tree

LARGE = 1_000_000


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Ratio(Enum):
    HALF = 0.5


class Order(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    total_cents: int = Field(alias="totalCents")
    extra: object = None


class Explosive(BaseModel):
    name: str = "x"

    @field_serializer("name")
    def explode(self, _: str) -> str:
        raise RuntimeError("no")


class ExplosiveMapping(UserDict[str, object]):
    @override
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")


class Rows(RootModel[list[int]]):
    pass


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: int


def encode(value: object, *, max_bytes: int = LARGE) -> str:
    return canonical_json(value, where="payload", max_bytes=max_bytes)


def refused(value: object, *, max_bytes: int = LARGE) -> JsonValueError:
    with pytest.raises(JsonValueError) as caught:
        encode(value, max_bytes=max_bytes)
    return caught.value


def nested(depth: int, *, wrap: Callable[[object], object]) -> object:
    value: object = wrap(1)
    for _ in range(depth - 1):
        value = wrap(value)
    return value


safe_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
canonical_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | safe_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(safe_text, inner, max_size=4),
    max_leaves=20,
)


@given(canonical_values)
def test_what_passes_the_gate_reads_back_equal(value: object) -> None:
    assert json.loads(encode(value)) == value


@given(canonical_values)
def test_the_text_is_sorted_and_stable(value: object) -> None:
    text = encode(value)
    again = json.loads(text)
    assert encode(again) == text
    assert json.dumps(again) == json.dumps(again, sort_keys=True)


@given(st.dictionaries(safe_text, st.integers(-9, 9), max_size=6))
def test_the_order_of_keys_makes_no_difference(value: dict[str, int]) -> None:
    assert encode(dict(reversed(value.items()))) == encode(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (-5.0, "-5.0"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1 / 3, "0.3333333333333333"),
        (123456.789, "123456.789"),
        (0.0001, "0.0001"),
        (0.0000999, "0.0000999"),
        (-0.000015, "-0.000015"),
        (0.00001, "0.00001"),
        (0.00000999, "9.99e-6"),
        (1e-6, "1e-6"),
        (-1.25e-9, "-1.25e-9"),
        (1e-10, "1e-10"),
        (5e-324, "5e-324"),
        (2.2250738585072014e-308, "2.2250738585072014e-308"),
        (2.0**53 + 1, "9007199254740992.0"),
        (1e15, "1000000000000000.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "10000000000000000"),
        (1e18, "1000000000000000000"),
        (-(2.0**63), "-9223372036854775808"),
        (2.0**63, "9.223372036854776e+18"),
        (1e19, "1e+19"),
        (1e22, "1e+22"),
        (1.5e300, "1.5e+300"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        ({"a 1e-05": ['"1e-05"\\', 1e-05, "\\", 1e-07, "2e+05"]}, None),
    ],
)
def test_a_float_has_one_text_whatever_library_is_installed(
    value: object, text: str | None
) -> None:
    """These texts are in stored hashes: another text is another signal."""
    written = encode(value)

    assert written == (text or r'{"a 1e-05":["\"1e-05\"\\",0.00001,"\\",1e-7,"2e+05"]}')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (-(2**63), "-9223372036854775808"),
        (2**63 - 1, "9223372036854775807"),
        (-0.0, "0.0"),
        (1e16, "10000000000000000"),
        (-(2.0**63), "-9223372036854775808"),
        ([1e15, 2.0**63], "[1000000000000000.0,9.223372036854776e+18]"),
        ("é\u2028🙂\x7f\x01", '"é\u2028🙂\x7f\\u0001"'),
        ((1, (2,)), "[1,[2]]"),
        ({"b": 1, "a": {"d": 2, "c": 3}}, '{"a":{"c":3,"d":2},"b":1}'),
        (
            {"__proto__": "{{x}}", "'); DROP": "\u202e"},
            '{"\'); DROP":"\u202e","__proto__":"{{x}}"}',
        ),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05Z"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ([Colour.RED, Level.HIGH], '["red",3]'),
        ({Colour.RED: Text("t")}, '{"red":"t"}'),
        (Order(totalCents=5, extra=[Colour.RED]), '{"extra":["red"],"totalCents":5}'),
        (Rows([1, 2]), "[1,2]"),
        (Point(1, 2), "[1,2]"),
        (OrderedDict([("b", 1), ("a", 2)]), '{"a":2,"b":1}'),
        (MappingProxyType({"b": UserDict(a=1)}), '{"b":{"a":1}}'),
    ],
)
def test_json_and_its_conveniences_have_one_text(value: object, text: str) -> None:
    assert encode(value) == text


@pytest.mark.parametrize(
    ("value", "pointer", "says"),
    [
        ({"a": "x\0"}, "/a", "contains NUL"),
        ({"a": ["\ud800"]}, "/a/0", "lone surrogate"),
        ({"a\0b": 1}, "/a\ufffdb", "contains NUL"),
        ({"\udfff": 1}, "/\ufffd", "lone surrogate"),
        ({"a": math.nan}, "/a", "NaN is not a finite number"),
        ([1, -math.inf], "/1", "-Infinity is not a finite number"),
        ([math.inf], "/0", "Infinity is not a finite number"),
        ({"a": 2**63}, "/a", "outside 64 bits"),
        ([10**5000], "/0", "outside 64 bits"),
        ({1: "a", "1": "b"}, "", "a key is an int; keys must be text"),
        ({"x": {None: 1}}, "/x", "a key is a NoneType"),
        ({"a": {1, 2}}, "/a", "a set is not JSON; accepted are objects"),
        ({"a/b": {"c~d": object()}}, "/a~1b/c~0d", "an object is not JSON"),
        ([b"bytes"], "/0", "a bytes is not JSON"),
        ([Decimal(1)], "/0", "a Decimal is not JSON"),
        ([Ratio.HALF], "/0", "a Ratio is not JSON"),
        ({"a": Order}, "/a", "is not JSON"),
        ([Explosive()], "/0", "an Explosive failed to be read"),
        ([Order(totalCents=1, extra=object())], "/0", "an Order failed to be read"),
        ([Order(totalCents=1, extra="\0")], "/0/extra", "contains NUL"),
        ([ExplosiveMapping(a=1)], "/0", "an ExplosiveMapping failed to be read: RuntimeError"),
        ({"a" * 5000: object()}, "/" + "a" * 100, "is not JSON"),
    ],
)
def test_poison_is_refused_and_its_place_named(value: object, pointer: str, says: str) -> None:
    error = refused(value)
    assert (error.where, error.pointer) == ("payload", pointer)
    assert says in str(error)
    assert len(str(error)) < 600
    str(error).encode()


def in_list(value: object) -> object:
    return [value]


def in_tuple(value: object) -> object:
    return (value,)


def in_object(value: object) -> object:
    return {"k": value}


@pytest.mark.parametrize("wrap", [in_list, in_tuple, in_object])
def test_sixty_four_levels_pass_and_one_more_does_not(wrap: Callable[[object], object]) -> None:
    assert encode(nested(64, wrap=wrap))
    assert "deeper than 64 levels" in str(refused(nested(65, wrap=wrap)))


def test_fewer_levels_can_be_asked_for() -> None:
    with pytest.raises(JsonValueError, match="deeper than 1 levels"):
        canonical_tree({"a": []}, where="config", max_bytes=LARGE, max_depth=1)


def test_a_hundred_thousand_levels_do_not_touch_the_recursion_limit() -> None:
    assert "deeper" in str(refused(nested(100_000, wrap=in_list)))


def test_a_cycle_is_refused_as_too_deep() -> None:
    cycle: dict[str, object] = {}
    cycle["self"] = [cycle]
    assert "deeper" in str(refused(cycle))


@pytest.mark.parametrize("leaf", ["x", None, [], {}])
def test_shared_references_cannot_explode(leaf: object) -> None:
    bomb = leaf
    for _ in range(60):
        bomb = [bomb, bomb]
    error = refused(bomb)
    assert error.pointer == ""
    assert "more than 1000000 bytes" in str(error)


@given(canonical_values)
def test_the_size_limit_is_exact_in_utf8(value: object) -> None:
    size = len(encode(value).encode())
    assert encode(value, max_bytes=size) == encode(value)
    assert "bytes" in str(refused(value, max_bytes=size - 1))


@pytest.mark.parametrize("value", [[], "x", None, 1, True, Rows([1]), date(2026, 1, 1)])
def test_a_field_that_must_be_an_object_takes_nothing_else(value: object) -> None:
    with pytest.raises(JsonValueError, match="config: must be an object, not"):
        canonical_object(value, where="config", max_bytes=LARGE)


@pytest.mark.parametrize("value", [{"a": 1}, UserDict(a=1), MappingProxyType({"a": 1})])
def test_every_mapping_is_an_object(value: object) -> None:
    assert canonical_object(value, where="config", max_bytes=LARGE) == '{"a":1}'


def test_the_input_is_never_changed() -> None:
    value = {"b": (1, 2), "a": [Colour.RED]}
    encode(value)
    assert list(value) == ["b", "a"]
    assert value["b"] == (1, 2)
