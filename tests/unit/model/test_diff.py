"""What differs between two contents of a definition."""

import random

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pulse_temporal.model.diff import FieldDifference, StepDifference, difference_of
from pulse_temporal.model.values import JsonObject

names = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)


def action(name: str, **fields: JsonValue) -> JsonObject:
    return {"type": "action", "name": name, **fields}


def content(*steps: JsonObject, **fields: JsonValue) -> JsonObject:
    return {"name": "n", "triggerType": "t", "steps": list(steps), **fields}


def both(*branches: list[JsonValue]) -> JsonObject:
    return {"type": "parallel", "name": "both", "branches": list(branches)}


def steps_between(old: JsonObject, new: JsonObject) -> list[tuple[str, str]]:
    return [(step.name, step.outcome) for step in difference_of(old, new).steps]


def test_the_same_content_has_no_difference() -> None:
    same = content(action("a"), both([action("b")], [action("c")]))
    assert difference_of(same, same).is_empty


def test_fields_are_named_with_the_objects_that_contain_them() -> None:
    old = content(action("a", retryPolicy={"maxAttempts": 3}, timeoutMs=5))
    new = content(action("a", retryPolicy={"maxAttempts": 5}, config={"a/b": 1}))
    (step,) = difference_of(old, new).steps
    assert step == StepDifference(
        name="a",
        outcome="changed",
        old_path="0",
        new_path="0",
        fields=(
            FieldDifference(field="config", outcome="added", new={"a/b": 1}),
            FieldDifference(field="retryPolicy/maxAttempts", outcome="changed", old=3, new=5),
            FieldDifference(field="timeoutMs", outcome="removed", old=5),
        ),
    )


def test_fields_outside_of_the_steps_are_told_apart() -> None:
    found = difference_of(content(config={"a/b": True}), content(config={"a/b": 1}))
    assert found.steps == ()
    assert found.fields == (
        FieldDifference(field="config/a~1b", outcome="changed", old=True, new=1),
    )


def test_a_step_in_front_moves_nobody() -> None:
    old = content(action("a"), action("b"))
    new = content(action("x"), action("a"), action("b"))
    assert steps_between(old, new) == [("x", "added")]


def test_a_removed_step_is_told_where_it_was() -> None:
    old = content(action("a"), action("b"), action("c"))
    new = content(action("a"), action("c", uses="other"))
    assert steps_between(old, new) == [("b", "removed"), ("c", "changed")]


def test_as_few_steps_as_possible_count_as_moved() -> None:
    old = content(*(action(name) for name in "abcde"))
    new = content(*(action(name) for name in "eabcd"))
    assert steps_between(old, new) == [("e", "moved")]


def test_a_step_that_went_into_a_branch_is_moved() -> None:
    old = content(action("a"), both([action("b")], [action("c")]))
    new = content(both([action("b"), action("a")], [action("c")]))
    (step,) = difference_of(old, new).steps
    assert (step.name, step.outcome, step.old_path, step.new_path) == ("a", "moved", "0", "0/b0/1")


def test_the_number_of_branches_is_a_field() -> None:
    old = content(both([action("b")], [action("c")]))
    new = content(both([action("b")], [action("c")], [action("d")]))
    first, second = difference_of(old, new).steps
    assert first.fields == (FieldDifference(field="branches", outcome="changed", old=2, new=3),)
    assert (second.name, second.outcome) == ("d", "added")


def test_contents_of_any_release_can_be_compared() -> None:
    odd: JsonObject = {"steps": [7, {"type": "loop", "name": "l"}, action("l"), {}]}
    assert difference_of(odd, odd).is_empty
    assert difference_of({"steps": 3}, odd).steps[0].name == "step 0"


@given(names, names)
def test_names_tell_what_was_added_and_removed(old: list[str], new: list[str]) -> None:
    found = steps_between(content(*map(action, old)), content(*map(action, new)))
    assert {name for name, outcome in found if outcome == "added"} == set(new) - set(old)
    assert {name for name, outcome in found if outcome == "removed"} == set(old) - set(new)


@given(names, st.randoms())
def test_steps_that_did_not_move_keep_their_order(old: list[str], chance: random.Random) -> None:
    new = [*old]
    chance.shuffle(new)
    found = dict(steps_between(content(*map(action, old)), content(*map(action, new))))
    assert set(found.values()) <= {"moved"}
    stayed = [name for name in new if name not in found]
    assert stayed == [name for name in old if name not in found]
    assert stayed or not old
