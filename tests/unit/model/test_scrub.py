"""Scrubbing repairs whatever a handler logs or raises; it never fails."""

from __future__ import annotations

import json
import math
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import override

from pulse_temporal.model.canonical import canonical_json, scrub_json, scrub_text

MARK = "… [truncated]"


class Shade(StrEnum):
    DARK = "dark"


class Silent:
    @override
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Loud:
    @override
    def __repr__(self) -> str:
        return "\0" + "x" * 10_000


class Holder(BaseModel):
    value: object


def scrub(value: object, *, max_bytes: int = 100_000) -> object:
    return json.loads(scrub_json(value, max_bytes=max_bytes))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.builds(object)
    | st.builds(Silent)
    | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=5)
        | st.builds(Holder, value=inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=30,
)


@given(anything, st.integers(2, 3000))
def test_the_result_is_always_canonical_and_within_its_bound(value: object, bound: int) -> None:
    text = scrub_json(value, max_bytes=bound)
    assert len(text.encode()) <= bound
    canonical_json(json.loads(text), where="log", max_bytes=bound)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, "x", None, True, 1.5]}, {"a": [1, "x", None, True, 1.5]}),
        ("a\0b\ud800c", "a\ufffdb\ufffdc"),
        ({"k\0": 1}, {"k\ufffd": 1}),
        ([math.nan, math.inf, -math.inf], ["NaN", "Infinity", "-Infinity"]),
        ([2**63, -(2**63)], ["9223372036854775808", -(2**63)]),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "(1, 2)": "c"}),
        (Shade.DARK, "dark"),
        (Holder(value=(1, 2)), {"value": [1, 2]}),
        ({"bytes": b"\0"}, {"bytes": "b'\\x00'"}),
        (Silent(), "<Silent>"),
        (ValueError("no"), "ValueError('no')"),
    ],
)
def test_values_without_a_json_form_are_described_in_words(
    value: object, expected: object
) -> None:
    assert scrub(value) == expected


def test_an_integer_too_long_for_python_to_write_is_cut() -> None:
    text = scrub(10**5000)
    assert isinstance(text, str)
    assert text.startswith("0x")
    assert len(text) == 500


def test_a_long_repr_is_cut_and_repaired() -> None:
    assert scrub(Loud()) == "\ufffd" + "x" * 499


def test_values_nested_too_deep_are_replaced_in_place() -> None:
    value: object = "bottom"
    for _ in range(100_000):
        value = {"down": value}
    text = scrub_json({"shallow": 1, "deep": value}, max_bytes=100_000)
    assert '"shallow":1' in text
    assert '{"truncated":true,"preview":"deeper than 64 levels"}' in text


def test_too_deep_a_list_is_replaced_too() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    assert "deeper than 64 levels" in scrub_json(cycle, max_bytes=10_000)


def test_what_is_too_large_becomes_a_preview() -> None:
    text = scrub_json({"rows": ['"quoted"'] * 10_000}, max_bytes=300)
    assert len(text.encode()) > 200
    cut = json.loads(text)
    assert cut["truncated"] is True
    assert cut["preview"].startswith('{"rows":["\\"quoted\\""')
    assert cut["preview"].endswith(MARK)


def test_text_that_grows_in_utf8_counts_in_bytes() -> None:
    assert scrub("é" * 100, max_bytes=202) == "é" * 100
    result = scrub("é" * 100, max_bytes=201)
    assert isinstance(result, dict)
    assert result["truncated"] is True


def test_shared_references_cannot_explode() -> None:
    bomb: object = {"x": "y"}
    for _ in range(100):
        bomb = [bomb, bomb]
    result = scrub(bomb, max_bytes=5000)
    assert isinstance(result, dict)
    assert result["truncated"] is True


@pytest.mark.parametrize(("bound", "text"), [(19, '{"truncated":true}'), (17, "{}"), (2, "{}")])
def test_a_tiny_bound_leaves_room_for_the_mark_only(bound: int, text: str) -> None:
    assert scrub_json("x" * 500, max_bytes=bound) == text


@given(st.text(st.characters(), max_size=300), st.integers(0, 400))
def test_scrubbed_text_can_be_stored_and_keeps_its_bound(text: str, bound: int) -> None:
    result = scrub_text(text, max_bytes=bound)
    assert len(result.encode()) <= bound
    assert "\0" not in result
    if len(text.encode(errors="surrogatepass")) <= bound:
        assert len(result) == len(text)


@pytest.mark.parametrize(
    ("text", "bound", "expected"),
    [
        ("plain", 5, "plain"),
        ("nul \0 and \udc00", 100, "nul \ufffd and \ufffd"),
        ("x" * 100, 20, "x" * (20 - len(MARK.encode())) + MARK),
        ("🙂" * 50, 30, "🙂" * 3 + MARK),
        ("x" * 100, 3, "xxx"),
    ],
)
def test_long_text_is_cut_between_characters_and_says_so(
    text: str, bound: int, expected: str
) -> None:
    assert scrub_text(text, max_bytes=bound) == expected
