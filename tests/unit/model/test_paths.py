"""Step paths: their grammar, their order, and the way up and down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.model.paths import (
    branch_path,
    branch_prefix_of,
    child_path,
    parent_of,
    parse_path,
    path_numbers,
)

steps_down = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=6)


def build(root: int, downs: list[tuple[int, int]]) -> str:
    path = child_path("", root)
    for branch, index in downs:
        path = child_path(branch_path(path, branch), index)
    return path


@given(st.integers(0, 200), steps_down)
def test_a_built_path_parses_and_gives_its_numbers(
    root: int, downs: list[tuple[int, int]]
) -> None:
    path = build(root, downs)
    assert parse_path(path) == path
    assert path_numbers(path) == [root, *(number for down in downs for number in down)]


@given(st.integers(0, 200), steps_down, st.integers(0, 200), st.integers(0, 200))
def test_the_parent_leads_back(
    root: int, downs: list[tuple[int, int]], branch: int, index: int
) -> None:
    parent = build(root, downs)
    child = build(root, [*downs, (branch, index)])
    assert parent_of(child) == (parent, branch)
    assert branch_prefix_of(child) == branch_path(parent, branch)


def test_a_root_step_has_no_parent() -> None:
    assert parent_of("7") == (None, None)
    assert branch_prefix_of("7") == ""


def test_numbers_sort_in_document_order_where_text_does_not() -> None:
    paths = ["10", "2/b0/10", "2/b10/0", "2", "2/b0/2", "2/b0/2/b1/0", "3/i17/0", "2/b1/0"]
    assert sorted(paths, key=path_numbers) == [
        "2",
        "2/b0/2",
        "2/b0/2/b1/0",
        "2/b0/10",
        "2/b1/0",
        "2/b10/0",
        "3/i17/0",
        "10",
    ]


def test_an_iteration_has_its_place_in_the_grammar() -> None:
    assert parse_path("3/i17/0") == "3/i17/0"
    assert parent_of("3/i17/0") == ("3", 17)


@pytest.mark.parametrize(
    "text",
    ["", "a", "-1", "01", "2/", "/2", "2/b0", "2/0", "2/x0/1", "2/b0/1/", "2\n", "٢", "1" * 10],
)
def test_anything_else_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="is not a step path such as"):
        parse_path(text)
