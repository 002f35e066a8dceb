"""A definition as a drawing."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.graph import GraphNode, graph_of, steps_of


def action(name: str, **fields: JsonValue) -> dict[str, JsonValue]:
    return {"type": "action", "name": name, **fields}


def parallel(*branches: list[JsonValue]) -> dict[str, JsonValue]:
    return {"type": "parallel", "name": "both", "branches": list(branches)}


leaves = st.just(action("do"))
json_steps: st.SearchStrategy[JsonValue] = st.recursive(
    leaves,
    lambda inner: st.lists(st.lists(inner, min_size=1, max_size=3), min_size=2, max_size=3).map(
        lambda branches: parallel(*branches)
    ),
    max_leaves=20,
)


def test_a_list_is_a_column_and_lines_join_its_steps() -> None:
    graph = graph_of([action("a"), action("b", uses="mail")])
    one, other = graph.nodes
    assert (one.path, one.name, one.detail) == ("0", "a", "")
    assert (other.path, other.name, other.detail) == ("1", "b", "mail")
    assert one.x == other.x
    (edge,) = graph.edges
    assert (edge.top, edge.bottom) == (one.y + one.height, other.y)


def test_branches_stand_beside_each_other_in_their_outline() -> None:
    graph = graph_of([parallel([action("a"), action("b")], [action("c")])])
    block, a, b, c = graph.nodes
    assert [node.path for node in graph.nodes] == ["0", "0/b0/0", "0/b0/1", "0/b1/0"]
    assert block.is_block
    assert block.detail == "2 branches"
    assert a.y == c.y < b.y
    assert a.x == b.x < c.x


@given(st.lists(json_steps, max_size=6))
def test_nothing_overlaps_and_all_is_within_the_drawing(steps: list[JsonValue]) -> None:
    graph = graph_of(steps)
    for one, other in combinations(graph.nodes, 2):
        if other.path.startswith(f"{one.path}/"):
            assert contains(one, other)
        else:
            assert not overlap(one, other)
    for node in graph.nodes:
        assert node.x >= 0
        assert node.y >= 0
        assert node.x + node.width <= graph.width
        assert node.y + node.height <= graph.height


def contains(outer: GraphNode, inner: GraphNode) -> bool:
    return (
        outer.x < inner.x
        and outer.y < inner.y
        and inner.x + inner.width < outer.x + outer.width
        and inner.y + inner.height < outer.y + outer.height
    )


def overlap(one: GraphNode, other: GraphNode) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def test_a_kind_of_a_newer_release_is_drawn_as_such() -> None:
    (node,) = graph_of([{"type": "loop", "name": "again", "steps": [action("a")]}]).nodes
    assert (node.kind, node.is_known, node.detail) == ("loop", False, "of a newer release")


def test_what_is_no_step_is_drawn_as_well() -> None:
    steps: list[JsonValue] = [7, {}, {"type": "parallel", "name": "p", "branches": 3}]
    assert [node.name for node in graph_of(steps).nodes] == ["?", "?", "p"]


def test_details_say_what_a_step_does() -> None:
    steps: list[JsonValue] = [
        {"type": "delay", "name": "d", "delayMs": 20_000},
        {"type": "delay", "name": "e", "delayMs": 10**300},
        {"type": "condition", "name": "c", "uses": "is_open"},
        {"type": "condition", "name": "s", "onFalse": 3},
        {"type": "condition", "name": "t", "onFalse": "skip"},
    ]
    assert [node.detail for node in graph_of(steps).nodes] == [
        "20 s",
        "",
        "is_open, if false: ends here",
        "if false: skips 3",
        "if false: skips the next",
    ]


def test_the_steps_of_a_snapshot_are_those_that_are_stored() -> None:
    fields = {"name": "n", "triggerType": "t", "definitionId": "wfd_1"}
    understood = DefinitionSnapshot.model_validate({**fields, "steps": [action("a")]})
    assert [node.name for node in graph_of(steps_of(understood)).nodes] == ["a"]

    raw: dict[str, JsonValue] = {"steps": [{"type": "loop", "name": "again"}]}
    newer = DefinitionSnapshot.model_validate(
        {**fields, "steps": [], "notUnderstood": "loop", "raw": raw}
    )
    assert [node.kind for node in graph_of(steps_of(newer)).nodes] == ["loop"]
